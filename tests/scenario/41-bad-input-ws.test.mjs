// Whatever comes over /ws is answered with the contract's codes; only too much of it closes.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { jsonClient } from "./support/clients.mjs";
import { history, publish, random, tidemark } from "./support/tidemark.mjs";

const long = (n) => "x".repeat(n);

const refused = [
    ["no JSON", "{", "bad_json"],
    ["nothing", "", "bad_json"],
    ["deep nesting", "[".repeat(50_000), "bad_json"],
    ["a number", "1", "bad_request"],
    ["an array", "[]", "bad_request"],
    ["null", "null", "bad_request"],
    ["no op", {}, "bad_request"],
    ["an op that is a number", { op: 1 }, "bad_request"],
    ["an unknown op", { op: "dance" }, "bad_request"],
    ["sub without topic", { op: "sub" }, ["bad_request", "bad_topic"]],
    ["sub of an empty topic", { op: "sub", topic: "" }, "bad_topic"],
    ["sub of a # inside", { op: "sub", topic: "a/#/b" }, "bad_topic"],
    ["sub of a long topic", { op: "sub", topic: long(256) }, "bad_topic"],
    ["sub since nonsense", { op: "sub", topic: "a", since: "yesterday" }, "bad_request"],
    ["sub since a fraction", { op: "sub", topic: "a", since: 1.5 }, "bad_request"],
    ["sub since less than nothing", { op: "sub", topic: "a", since: -1 }, "bad_request"],
    ["sub with an epoch that is none", { op: "sub", topic: "a", since: 1, epoch: "zz" }, "bad_request"],
    ["sub of the system's", { op: "sub", topic: "$session/x" }, "forbidden"],
    ["sub of another's own topic", { op: "sub", topic: "@somebody" }, "forbidden"],
    ["unsub without topic", { op: "unsub" }, ["bad_request", "bad_topic", "not_found"]],
    ["unsub of what is not joined", { op: "unsub", topic: "never" }, "not_found"],
    ["pub without event", { op: "pub", topic: "a", data: 1 }, "bad_request"],
    ["pub to a subtree", { op: "pub", topic: "a/#", event: "e", data: 1 }, "bad_topic"],
    ["pub to the system's", { op: "pub", topic: "$dead/x", event: "e", data: 1 }, "forbidden"],
    ["pub of a key that is a number", { op: "pub", topic: "a", event: "e", data: 1, key: 1 }, "bad_request"],
    ["hello with a session that is a number", { op: "hello", session: 1 }, "bad_request"]
];

test("every wrong message is answered by an error with its code, and the connection goes on", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    const wrong = [];
    for (const [what, message, code] of refused) {
        const id = typeof message === "object" ? `id of ${what}` : undefined;
        client.send(id ? { ...message, id } : message);
        const answer = await client.take("error", 5000).catch(() => ({}));
        if (![code].flat().includes(answer.code) || answer.id !== id || !answer.message)
            wrong.push(`${what}: ${JSON.stringify(answer)}`);
    }
    assert.deepEqual(wrong, []);
    await client.ok({ op: "sub", topic: "a" });
    await client.ok({ op: "pub", topic: "a", event: "wave", data: 1 });
    assert.equal((await history(server, "a")).length, 1);
});

test("a message above --max-payload closes with 1009, fragmented or not", async (t) => {
    const server = await tidemark(t, { gateway: ["--max-payload", "5000"] });
    for (const isFragmented of [false, true]) {
        const client = await jsonClient(t, server);
        if (isFragmented)
            for (let part = 0; part < 10; part++)
                client.socket.send(long(1000), { fin: part === 9 });
        else
            client.socket.send(long(5001));
        assert.equal((await client.closed).code, 1009);
    }
    const client = await jsonClient(t, server);
    await client.ok({ op: "pub", topic: "a", event: "wave", data: long(4000) });
});

test("a binary message is an error, or closes that connection with a reason", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    client.socket.send(Buffer.from('{"op":"ping"}'), { binary: true });
    const said = await Promise.race([client.take("error"), client.closed]);
    assert.ok(said.code === "bad_request" || [1003, 1002].includes(said.code), JSON.stringify(said));
});

test("more topics than a session may have are refused, the others stay", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    const answers = await Promise.all(Array.from({ length: 1001 }, (_, i) => client.ask({ op: "sub", topic: `t/${i}` })));
    assert.equal(answers.filter((answer) => answer.op === "ok").length, 1000);
    assert.equal(answers.find((answer) => answer.op !== "ok").code, "too_many");
    await publish(server, { topic: "t/0", event: "wave", data: 1 });
    await client.count(1, "t/0");
});

test("random and mangled frames never stop the server", async (t) => {
    const server = await tidemark(t);
    const seeds = refused.map(([, message]) => typeof message === "string" ? message.slice(0, 200) : JSON.stringify(message).slice(0, 200));
    for (let round = 0; round < 40; round++) {
        const client = await jsonClient(t, server);
        for (let i = 0; i < 50; i++) {
            const bytes = Buffer.from(seeds[random(seeds.length)] || "{}");
            for (let change = random(4); change >= 0; change--)
                bytes[random(bytes.length)] = 32 + random(95);
            client.socket.send(bytes.toString());
        }
        client.socket.terminate();
    }
    assert.equal((await server.get("/healthz")).status, 200);
    await (await jsonClient(t, server)).ok({ op: "sub", topic: "a" });
});
