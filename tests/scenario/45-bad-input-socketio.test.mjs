// Whatever comes to Socket.IO over any transport ends at most the connection that it came by.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, CALM, conformance, join, Link, TRANSPORTS, witnesses } from "./support/conformance.mjs";
import { random } from "./support/tidemark.mjs";

function each(what, run) {
    for (const transport of TRANSPORTS)
        test(`${what} (${transport})`, async (t) => {
            const place = await conformance(t, "socket", ...CALM);
            await run(t, place, transport, await witnesses(t, place));
        });
}

const at = (num) => `{"_placeholder":true,"num":${num}}`;

each("random and mangled packets never stop the server nor reach another client", async (t, place, transport, check) => {
    const seeds = ['2["message",1]', '21["message-with-ack",{"a":[1]}]', `51-["message",${at(0)}]`, '0/custom,{"a":1}', "1", "31[]", "0/x,",
                   '20["to",{"room":"r","event":"e","args":[1]}]', '20["join","r"]', '20["ask",{"event":"e","args":[],"timeout":10}]'];
    for (let round = 0; round < 40; round++) {
        const link = await Link.open(t, place, transport);
        if (round % 4)
            await join(link);
        for (let i = 0; i < 8 && !link.isOver; i++) {
            const bytes = Buffer.from(seeds[random(seeds.length)]);
            for (let change = random(3); change > 0; change--)
                bytes[random(bytes.length)] = 32 + random(95);
            // What the application would choke on is not Socket.IO's business.
            const text = bytes.toString();
            if (!/"(to|join|leave|ask|kick|message-with-ack)"/.test(text) || seeds.includes(text))
                link.send(random(5) ? text : bytes);
        }
        link.end();
        if (round % 10 === 0)
            await check(`round ${round}`);
    }
    await check("all of it");
});

each("attachments that never come cost nobody anything", async (t, place, transport, check) => {
    for (let i = 0; i < 20; i++) {
        const link = await Link.open(t, place, transport);
        await join(link);
        link.send(`510-["message",${at(0)}]`, Buffer.alloc(50_000));
        if (i % 2)
            link.end();
    }
    await check("attachments that never came");
});

each("deep, wide and odd JSON is an event like any other, or ends its connection", async (t, place, transport, check) => {
    for (const json of [`["message",${"[".repeat(20_000)}${"]".repeat(20_000)}]`, `["message",${"[".repeat(50_000)}`,
                        `["message",${'{"a":'.repeat(5000)}1${"}".repeat(5000)}]`, `["message",[${"1,".repeat(100_000)}1]]`,
                        '["message",{"__proto__":{"x":1},"constructor":{"prototype":{}}}]', '["message",{"toString":1,"valueOf":2,"length":-1}]',
                        '["message","\\ud800"]', '["message",1e999]', '["message",{"a":1,"a":2}]', `["${"m".repeat(100_000)}"]`]) {
        const link = await Link.open(t, place, transport);
        await join(link);
        link.send(`2${json}`);
        link.send('2["message","behind it"]');
        let heard = "";
        while (!link.isOver && !heard.endsWith('"behind it"]'))
            heard = await link.next().catch(() => "");
        link.end();
    }
    await check("odd JSON");
});

each("placeholders that lie do not harm", async (t, place, transport, check) => {
    for (const num of ["1", "1e9", "-1", '"0"', "null", "{}", "[]", "true", '"constructor"', "9007199254740993"]) {
        const link = await Link.open(t, place, transport);
        await join(link);
        link.send(`51-["message",{"_placeholder":true,"num":${num}}]`, Buffer.from("x"));
        assert.equal(await link.isClosed(3000), true, num);
    }
    const link = await Link.open(t, place, transport);
    await join(link);
    // The same attachment twice, and a placeholder in an event without attachments, are what they are.
    link.send(`51-["message",${at(0)},${at(0)}]`, Buffer.from("x"));
    assert.match(await link.next(), /^5[12]-\["message-back",/);
    await check("placeholders that lie");
});

each("thousands of refused namespaces leave nothing behind", async (t, place, transport, check) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    for (let i = 0; i < 2000; i++)
        link.send(`0/no-${i},`);
    for (let i = 0; i < 2000; i++)
        assert.equal(await link.next(), `4/no-${i},{"message":"Invalid namespace"}`);
    await check("two thousand refusals");
});

each("a thousand events and a thousand questions in one breath are all answered", async (t, place, transport, check) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    link.send(...Array.from({ length: 1000 }, (_, i) => `2${i}["message-with-ack",${i}]`));
    for (let i = 0; i < 1000; i++)
        assert.equal(await link.next(), `3${i}[${i}]`);
    await check("a thousand questions");
});

test("the public sid is not good for the connection beneath", async (t) => {
    const place = await conformance(t, "socket", ...CALM);
    const link = await Link.open(t, place, "polling");
    const { sid } = await join(link);
    for (const method of ["GET", "POST"]) {
        const answer = await ask(place, { method, query: { sid }, body: method === "POST" ? "41" : undefined });
        assert.deepEqual([answer.status, answer.body], [400, '{"code":1,"message":"Session ID unknown"}']);
    }
    link.send('2["message",1]');
    assert.equal(await link.next(), '2["message-back",1]');
});
