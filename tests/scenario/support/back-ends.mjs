// The worker programs that ship: started, and killed as anything else.
// SPDX-License-Identifier: MIT
import { spawn } from "node:child_process";
import path from "node:path";

import { BIN, until } from "./tidemark.mjs";

/* Starts `tidemark-NAME` beside a server; it ends with the test. */
export function startWorker(t, server, name) {
    const child = spawn(path.join(BIN, `tidemark-${name}`), [server.endpoint], { stdio: ["ignore", "pipe", "pipe"] });
    const worker = { child, output: "" };
    for (const stream of [child.stdout, child.stderr])
        stream.on("data", (text) => { worker.output += text; });
    worker.ended = new Promise((resolve) => { child.once("close", (code, signal) => resolve({ code, signal })); });
    worker.end = (signal) => {
        child.kill(signal);
        return worker.ended;
    };
    t.after(() => worker.end("SIGKILL"));
    return worker;
}

/* Starts so many, and waits until the broker counts them in. */
export async function startWorkers(t, server, name, count = 1) {
    const before = await server.metric("tidemark_broker_workers");
    const all = Array.from({ length: count }, () => startWorker(t, server, name));
    await until(() => `${count} of ${name}; they said: ${all.map((one) => one.output).join("")}`,
        async () => await server.metric("tidemark_broker_workers") === before + count);
    return all;
}

/* kill -9 of one of them, and another in its place when that is noticed: no two are missing at once. */
export async function replaceWorker(t, server, all, at, name) {
    const count = await server.metric("tidemark_broker_workers");
    const counts = (number) => until(`${number} workers`, async () => await server.metric("tidemark_broker_workers") === number);
    all[at].end("SIGKILL");
    await counts(count - 1);
    all[at] = startWorker(t, server, name);
    await counts(count);
}
