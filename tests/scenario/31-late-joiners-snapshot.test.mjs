// Readers that join while keyed state changes at full speed: a snapshot at N, then exactly what came
// behind N. Each key counts upwards by one, so a gap or a repeat shows in the value itself.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, jsonClient, stockClient } from "./support/clients.mjs";
import { isLong, publish, random, tidemark, until } from "./support/tidemark.mjs";

const KEYS = 100, JOINERS = 20, CHANGES = isLong ? 200_000 : 6_000;

/* What a joiner has of the state, and whether every step to it was the next one. */
class Board {
    constructor(state, seq) {
        this.values = new Map(Object.entries(state).map(([key, event]) => [key, event.data]));
        this.seqs = [seq];
    }

    apply({ seq, key, data, isRemoved }) {
        this.seqs.push(seq);
        const before = this.values.get(key);
        if (isRemoved) {
            assert.notEqual(before, undefined, `key ${key} was removed at ${seq} and did not stand`);
            this.values.delete(key);
            return;
        }
        assert.equal(data, (before ?? 0) + 1, `key ${key} at ${seq}: from ${before} to ${data}`);
        this.values.set(key, data);
    }

    asObject() {
        return Object.fromEntries([...this.values].sort());
    }
}

async function joinJson(t, server, topic) {
    const client = await jsonClient(t, server);
    await client.ok({ op: "sub", topic, since: "snapshot" });
    const parts = client.said.filter((message) => message.op === "snapshot");
    const board = new Board(Object.assign({}, ...parts.map((part) => part.state)), parts[0].seq);
    let applied = 0;
    return { board, bring: () => {
        for (const events = client.events(topic); applied < events.length; applied++)
            board.apply({ ...events[applied], isRemoved: events[applied].removed === true });
    } };
}

async function joinStock(t, server, topic) {
    const socket = await stockClient(t, server);
    const events = [];
    socket.on("set", (data, meta) => events.push({ data, ...meta, isRemoved: meta.removed === true }));
    const answer = await socket.timeout(20000).emitWithAck("tide:subscribe", { topic, since: "snapshot", meta: true });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    const board = new Board(answer.state, answer.seq);
    return { board, bring: () => events.splice(0).forEach((event) => board.apply(event)) };
}

test(`g5_${JOINERS}_joiners_have_exactly_the_standing_state_after_${CHANGES}_changes`, async (t) => {
    const server = await tidemark(t);
    const values = Array(KEYS).fill(0);
    let changes = 0;
    const writer = (async () => {
        while (changes < CHANGES) {
            await publish(server, Array.from({ length: 50 }, () => {
                const k = random(KEYS);
                changes++;
                return { topic: "board", event: "set", key: `k${k}`, data: ++values[k] };
            }));
        }
    })();
    const joiners = [];
    for (let i = 0; i < JOINERS; i++) {
        await until("the writer to get on", () => changes >= (i * CHANGES) / (JOINERS + 1));
        joiners.push(i % 2 ? await joinStock(t, server, "board") : await joinJson(t, server, "board"));
    }
    await writer;
    const last = await publish(server, [0, 1, 2].map((k) => ({ topic: "board", event: "set", key: `k${k}` })));
    const end = last.at(-1).seq;

    const { state } = (await server.get("/api/v1/snapshot?topic=board")).json;
    const standing = Object.fromEntries(Object.entries(state).map(([key, event]) => [key, event.data]).sort());
    assert.equal(Object.keys(standing).length, values.filter((value, k) => value > 0 && k > 2).length);
    for (const { board, bring } of joiners) {
        await until(() => `the removal at ${end} (at ${board.seqs.at(-1)})`, () => {
            bring();
            return board.seqs.at(-1) >= end;
        });
        assertRising(board.seqs);
        assert.deepEqual(board.asObject(), standing);
    }
});
