// Workers in C for the scenarios: the one of tests/workers, started again whenever it has ended.
// SPDX-License-Identifier: MIT
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";

import { BIN, until } from "./tidemark.mjs";

const WORKER = path.join(BIN, "../tests/workers/tide-test-worker");

/* A worker that is started again whenever it has ended, until the test has. */
export class Worker {
    constructor(server, threads = 4) {
        this.args = [server.endpoint, path.join(server.data, "effects"), String(threads)];
        this.starts = 0;
        this.start();
    }

    start() {
        this.starts++;
        this.child = spawn(WORKER, this.args, { stdio: ["ignore", "ignore", "inherit"] });
        this.child.once("close", () => {
            if (!this.isOver)
                this.start();
        });
    }

    kill() {
        this.child.kill("SIGKILL");
    }
}

export async function workers(t, server, count, threads) {
    const all = Array.from({ length: count }, () => new Worker(server, threads));
    t.after(() => all.forEach((worker) => {
        worker.isOver = true;
        worker.kill();
    }));
    await until("the workers", async () => await server.metric("tidemark_broker_workers") === count);
    return all;
}

/* What `count` has done: the call, the attempt, its number. */
export async function effects(server) {
    const text = await readFile(path.join(server.data, "effects"), "utf8").catch(() => "");
    return text.split("\n").slice(0, -1).map((line) => {
        const [id, attempt, n] = line.split(" ");
        return { id, attempt: Number(attempt), n: Number(n) };
    });
}
