// A stock client whose connection is cut twenty times under way misses nothing and repeats nothing.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, assertRun, comeBack, jsonClient, reader } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { publishMany, random, tidemark } from "./support/tidemark.mjs";

const CUTS = 20, EVENTS = 150, BATCH = 10;

test("g1_3000_events_over_20_cuts_all_come_once_in_order_and_each_reconnect_is_recovered", async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const one = await reader(t, between, "demo/tide");
    for (let cut = 0; cut < CUTS; cut++) {
        const at = random(EVENTS / BATCH);
        for (let batch = 0; batch < EVENTS / BATCH; batch++) {
            if (batch === at)
                between.cut();
            await publishMany(server, "demo/tide", BATCH, { first: cut * EVENTS + batch * BATCH });
        }
        await comeBack(one, cut + 1);
        assert.equal(one.recoveries, cut + 1, "a reconnect was not recovered");
        assert.equal(one.socket.id, one.sid);
    }
    await one.count(CUTS * EVENTS);
    assertRun(one.ns, 0, CUTS * EVENTS);
    assertRising(one.events.map((event) => event.seq));
});

test("g1_a_cut_in_the_middle_of_a_replay_repeats_and_loses_nothing", async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const one = await reader(t, between, "a");
    await publishMany(server, "a", 1);
    await one.count(1);
    between.isOpen = false;
    between.cut();
    await publishMany(server, "a", 5000, { first: 1, extra: { text: "x".repeat(200) } });
    between.isOpen = true;
    for (let cut = 1; cut <= 5; cut++) {
        await one.count(cut * 700);
        between.cut();
        await comeBack(one, cut + 1);
    }
    await one.count(5001);
    assertRun(one.ns, 0, 5001);
    assert.equal(one.recoveries, one.connects);
});

test("g1_topics_that_were_left_stay_left_and_joined_ones_stay_joined_over_a_cut", async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const one = await reader(t, between, "kept");
    const { socket } = one;
    await socket.emitWithAck("tide:subscribe", { topic: "left", meta: true });
    await socket.emitWithAck("tide:subscribe", { topic: "late/#", meta: true });
    await socket.emitWithAck("tide:unsubscribe", { topic: "left" });
    between.cut();
    for (const topic of ["left", "kept", "late/x"])
        await publishMany(server, topic, 1);
    await comeBack(one, 1);
    await publishMany(server, "kept", 1, { first: 1 });
    await one.count(3);
    assert.deepEqual(one.events.map((event) => event.meta.topic), ["kept", "late/x", "kept"]);
});

test("g5_a_json_client_that_is_cut_resumes_with_hello", async (t) => {
    const server = await tidemark(t);
    let client = await jsonClient(t, server);
    client.send({ op: "hello" });
    const { session, epoch } = await client.take("welcome");
    await client.ok({ op: "sub", topic: "a", since: "start" });
    const got = [];
    for (let cut = 0; cut < 10; cut++) {
        await publishMany(server, "a", 20, { first: cut * 40 });
        await client.count(1, "a");
        client.socket.terminate();
        await publishMany(server, "a", 20, { first: cut * 40 + 20 });
        got.push(...client.events("a"));
        client = await jsonClient(t, server);
        client.send({ op: "hello", session, since: got.at(-1).seq, epoch });
        assert.equal((await client.take("welcome")).resumed, true);
    }
    await client.count(400 - got.length, "a");
    got.push(...client.events("a"));
    assertRun(got.map((event) => event.data.n), 0, 400);
});
