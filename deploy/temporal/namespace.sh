#!/bin/sh
# Makes the namespace and sets its retention; safe to run again. Workers register the search
# attributes themselves.
set -eu

temporal operator namespace describe --namespace default >/dev/null 2>&1 ||
    temporal operator namespace create --namespace default --retention 30d
temporal operator namespace update --namespace default --retention 30d
