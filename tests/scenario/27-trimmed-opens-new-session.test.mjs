// Where the history that a client missed is gone, that is said: never silence.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { comeBack, jsonClient, reader, subscribe } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { noise, publish, publishMany, tidemark } from "./support/tidemark.mjs";

/* Goes on until what came after `seq` is no longer all there. */
async function trimPast(server, topic, seq) {
    for (let round = 0; round < 20; round++) {
        await noise(server, topic, 20_000);
        const { json } = await server.get(`/api/v1/history?topic=${topic}&since=${seq}&limit=1`);
        if (json.trimmed)
            return;
    }
    assert.fail("nothing was trimmed");
}

test("g5_a_resume_past_what_is_kept_is_a_new_session_and_since_is_answered_by_a_reset", async (t) => {
    const server = await tidemark(t, { broker: ["--retain-events", "1000"] });
    const between = await proxy(t, server);
    await publish(server, { topic: "a", event: "set", key: "k", data: { stands: true } });
    const one = await reader(t, between, "a");
    await publishMany(server, "a", 3);
    await one.count(3);
    const last = one.events.at(-1).seq;

    between.isOpen = false;
    between.cut();
    await trimPast(server, "a", last);
    between.isOpen = true;
    await comeBack(one, 1);
    assert.equal(one.recoveries, 0);
    assert.notEqual(one.socket.id, one.sid);

    const reset = new Promise((resolve) => { one.socket.once("tide:reset", resolve); });
    await subscribe(one.socket, "a", { since: last, epoch: one.answer.epoch, meta: true });
    const said = await reset;
    assert.deepEqual([said.topic, said.code, said.epoch], ["a", "trimmed", one.answer.epoch]);
    assert.equal(said.state.k.data.stands, true);
    await publishMany(server, "a", 1, { first: 3 });
    await one.count(4);
    assert.deepEqual(one.ns, [0, 1, 2, 3]);

    const json = await jsonClient(t, server);
    const answer = await json.ok({ op: "sub", topic: "a", since: last, epoch: one.answer.epoch });
    const { code, state, seq } = await json.take("reset");
    assert.equal(code, "trimmed");
    assert.equal(state.k.data.stands, true);
    assert.ok(seq <= answer.seq);
});

test("a topic joined at a sequence that is gone begins with a reset", async (t) => {
    const server = await tidemark(t, { broker: ["--retain-events", "1000"] });
    await publishMany(server, "a", 1);
    await trimPast(server, "a", 0);
    const json = await jsonClient(t, server);
    await json.ok({ op: "sub", topic: "a", since: 1 });
    assert.equal((await json.take("reset")).code, "trimmed");
});
