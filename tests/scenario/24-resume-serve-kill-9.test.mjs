// kill -9 of everything at once: log, sessions and sequence numbers are what they were.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRun, comeBack, reader } from "./support/clients.mjs";
import { history, publishMany, tidemark } from "./support/tidemark.mjs";

test("g2_log_and_sessions_survive_kill_9_of_the_one_process", async (t) => {
    const server = await tidemark(t);
    const one = await reader(t, server, "a");
    const silent = await reader(t, server, "quiet");
    for (let kill = 1; kill <= 3; kill++) {
        await publishMany(server, "a", 100, { first: (kill - 1) * 100 });
        await server.killAndRestart();
        for (const who of [one, silent]) {
            await comeBack(who, kill);
            assert.equal(who.recoveries, kill);
        }
    }
    await publishMany(server, "a", 1, { first: 300 });
    await publishMany(server, "quiet", 1);
    await one.count(301);
    assertRun(one.ns, 0, 301);
    await silent.count(1);
    assertRun((await history(server, "a")).map((event) => event.data.n), 0, 301, "the log");
});

test("g8_the_epoch_and_the_head_are_the_same_after_a_clean_stop_and_after_a_kill", async (t) => {
    const server = await tidemark(t);
    await publishMany(server, "a", 10);
    const head = async () => {
        const { epoch, last } = (await server.get("/api/v1/history?topic=a")).json;
        return { epoch, last };
    };
    const before = await head();
    await server.stop();
    await server.start();
    assert.deepEqual(await head(), before);
    await server.killAndRestart();
    assert.deepEqual(await head(), before);
});

test("tidemark check finds nothing wrong after a kill", async (t) => {
    const server = await tidemark(t);
    await publishMany(server, "a", 1000);
    server.mayBeDown = true;
    await server.broker.end("SIGKILL");
    const checked = await server.cli(["check", server.data]);
    assert.equal(checked.code, 0, checked.out + checked.err);
});
