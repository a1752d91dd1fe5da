// The network swallows a connection without a word; the client resumes on a new one while the server
// still holds the old. The old one's end, whenever it comes, must not touch the new.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRun, comeBack, jsonClient, reader } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { publishMany, tidemark } from "./support/tidemark.mjs";

test("g5_a_half_open_connection_is_taken_over_and_its_late_end_does_no_harm", async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const one = await reader(t, between, "a");
    await publishMany(server, "a", 10);
    await one.count(10);

    const ends = [];
    for (let round = 1; round <= 3; round++) {
        ends.push(between.stall());
        await publishMany(server, "a", 10, { first: round * 20 - 10 });
        one.socket.io.engine.close();
        await comeBack(one, round);
        assert.equal(one.recoveries, round);
        await publishMany(server, "a", 10, { first: round * 20 });
        await one.count(round * 20 + 10);
    }
    for (const end of ends)
        end();
    await publishMany(server, "a", 10, { first: 70 });
    await one.count(80);
    assertRun(one.ns, 0, 80);
    assert.equal(one.connects, 3, "the late ends broke the new connection");
    assert.equal(one.socket.connected, true);
});

test("of two connections with one session the newer one has it", async (t) => {
    const server = await tidemark(t);
    const old = await jsonClient(t, server);
    old.send({ op: "hello" });
    const { session, epoch, seq } = await old.take("welcome");
    await old.ok({ op: "sub", topic: "a" });
    const young = await jsonClient(t, server);
    young.send({ op: "hello", session, since: seq, epoch });
    assert.equal((await young.take("welcome")).resumed, true);
    await old.closed;
    await publishMany(server, "a", 5);
    await young.count(5, "a");
    assert.equal(old.events("a").length, 0);
});
