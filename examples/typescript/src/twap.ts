/**
 * Starts a TWAP, follows it, cancels it after some slices, and prints what it came to.
 *
 * It knows nothing of Delta Executor but its contract: the task queue `orders`, the workflow type
 * `TwapOrder`, the query `progress`, the signal `cancel`, and the messages under `contract/`, which
 * are made from the JSON Schemas. It must not import anything else of the engine.
 */
import { setTimeout as sleep } from "node:timers/promises";

import { Client, Connection, WorkflowIdConflictPolicy } from "@temporalio/client";

import type { CancelRequest } from "./contract/CancelRequest.js";
import type { OrderRequest } from "./contract/OrderRequest.js";
import type { OrderSnapshot, OrderStatus } from "./contract/OrderSnapshot.js";

const TASK_QUEUE = "orders";
const POLL_MS = 200;
const GIVE_UP_MS = 60_000;
const FINAL: ReadonlySet<OrderStatus> = new Set<OrderStatus>([
  "filled",
  "cancelled",
  "expired",
  "denied",
  "rejected",
  "failed",
]);

/** What the workflow TwapOrder takes and answers: the type implies `order_type`. */
type TwapOrder = (order: Omit<OrderRequest, "order_type">) => Promise<OrderSnapshot>;

/** Quantities are decimal strings: a JavaScript number would round what is money. */
const order: Omit<OrderRequest, "order_type"> = {
  strategy_id: process.env.STRATEGY_ID ?? "typescript",
  exchange: "binance",
  symbol: "BTC/USDT",
  side: "buy",
  quantity: "0.1",
  twap_slices: 10,
  twap_interval: "1",
};

/** Poll until so many slices are filled or the order has ended. */
async function follow(ask: () => Promise<OrderSnapshot>, slices: number): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS;
  let shown = "";
  while (Date.now() < deadline) {
    const told = await ask();
    const filled = told.twap?.slices_filled ?? 0;
    const line = `${told.status}  slices filled: ${filled}  ${told.filled_quantity} BTC`;
    if (line !== shown) console.log((shown = line));
    if (FINAL.has(told.status) || filled >= slices) return;
    await sleep(POLL_MS);
  }
  throw new Error(`not ${slices} slices within ${GIVE_UP_MS} ms`);
}

async function main(): Promise<void> {
  const orderId = process.argv[2] ?? `ts-${Date.now()}`;
  const cancelAfter = Number(process.argv[3] ?? "2");
  const connection = await Connection.connect({
    address: process.env.TEMPORAL_ADDRESS ?? "127.0.0.1:7233",
  });
  try {
    const client = new Client({
      connection,
      namespace: process.env.TEMPORAL_NAMESPACE ?? "default",
    });
    // The same id again is the same order: a crash between here and the answer costs nothing.
    const handle = await client.workflow.start<TwapOrder>("TwapOrder", {
      taskQueue: TASK_QUEUE,
      workflowId: orderId,
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
      args: [order],
    });
    await follow(() => handle.query<OrderSnapshot>("progress"), cancelAfter);
    await handle.signal<[CancelRequest]>("cancel", { reason: "the example has seen enough" });
    const result = await handle.result();
    console.log(JSON.stringify(result, null, 2));
    process.exitCode = result.status === "denied" ? 1 : 0;
  } finally {
    await connection.close();
  }
}

await main();
