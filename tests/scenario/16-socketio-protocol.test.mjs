// Socket.IO's protocol, packet by packet, over polling, over WebSocket and over an upgraded session.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { CALM, conformance, join, Link, Polling, TRANSPORTS } from "./support/conformance.mjs";
import { wait } from "./support/tidemark.mjs";

/* A test for each transport. */
function each(what, run, ...args) {
    for (const transport of TRANSPORTS)
        test(`${what} (${transport})`, async (t) => {
            const place = await conformance(t, "socket", ...CALM, ...args);
            await run(t, place, transport);
        });
}

const one = Buffer.from([1, 2, 3]), other = Buffer.from([4, 5, 6]);

/* -- CONNECT ---------------------------------------------------------------------------------- */

each("CONNECT is answered with a sid alone, then the application has its word", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    link.send("0");
    const answer = await link.next();
    assert.match(answer, /^0\{"sid":"[^"]+"\}$/);
    assert.notEqual(JSON.parse(answer.slice(1)).sid, link.sid, "the Engine.IO sid is a secret");
    assert.equal(await link.next(), '2["auth",{}]');
});

each("CONNECT carries an auth object that the application sees as it was", async (t, place, transport) => {
    for (const auth of ['{"token":"123"}', "{}", '{"a":[1,null,{"b":"é✓"}],"c":true}']) {
        const link = await Link.open(t, place, transport);
        link.send(`0${auth}`);
        assert.match(await link.next(), /^0\{"sid":"[^"]+"\}$/);
        assert.equal(await link.next(), `2["auth",${auth}]`);
    }
});

each("several namespaces are joined on one connection, each with a sid of its own", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    const sids = new Set([link.sid]);
    for (const nsp of ["/custom", "/", "/tenant-a", "/tenant-b"])
        sids.add((await join(link, nsp, { in: nsp })).sid);
    assert.equal(sids.size, 5);
    for (const nsp of ["", "/custom,", "/tenant-a,", "/tenant-b,"]) {
        link.send(`2${nsp}["message","in","${nsp}"]`);
        assert.equal(await link.next(), `2${nsp}["message-back","in","${nsp}"]`);
        link.send(`2${nsp}0["message-with-ack",1]`);
        assert.equal(await link.next(), `3${nsp}0[1]`);
    }
});

each("a namespace may be joined with and without the comma", async (t, place, transport) => {
    for (const packet of ["0/custom,", "0/custom", '0/custom,{"a":1}']) {
        const link = await Link.open(t, place, transport);
        link.send(packet);
        assert.match(await link.next(), /^0\/custom,\{"sid":"[^"]+"\}$/, packet);
    }
});

each("a namespace that is not served is refused by name, and the connection goes on", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    for (const nsp of ["/random", "/custom/", "/customs", "/tenant", "/tenant-", "/Custom", "/ custom", '/"', "/custom?a=1", "/__proto__"]) {
        link.send(`0${nsp}`);
        assert.equal(await link.next(), `4${nsp},{"message":"Invalid namespace"}`);
        link.send(`0${nsp},{"token":1}`);
        assert.equal(await link.next(), `4${nsp},{"message":"Invalid namespace"}`);
    }
    await join(link);
});

each("a refusal carries message and data; what is refused may be tried again", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    for (const prefix of ["", "/custom,", "/tenant-a,"]) {
        link.send(`0${prefix}{"refuse":true}`);
        assert.equal(await link.next(), `4${prefix}{"message":"refused","data":{"why":"asked for"}}`);
    }
    await join(link);
    await join(link, "/custom");
    link.send('0/tenant-b,{"refuse":true}');
    assert.equal(await link.next(), '4/tenant-b,{"message":"refused","data":{"why":"asked for"}}');
    link.send('2["message",1]');
    assert.equal(await link.next(), '2["message-back",1]');
});

each("who joins no namespace, or is refused everywhere, is let go after the connect timeout", async (t, place, transport) => {
    for (const packets of [[], ["0/random"], ['0{"refuse":true}']]) {
        const begin = performance.now();
        const link = await Link.open(t, place, transport);
        for (const packet of packets)
            link.send(packet);
        assert.equal(await link.isClosed(), true);
        assert.ok(performance.now() - begin >= 980, `${packets}: after ${performance.now() - begin} ms`);
    }
});

each("who has joined a namespace stays, even when it has left it again", async (t, place, transport) => {
    const [stays, leaves] = [await Link.open(t, place, transport), await Link.open(t, place, transport)];
    await join(stays, "/custom");
    await join(leaves);
    leaves.send("1");
    await wait(1400);
    assert.ok(!stays.isOver && !leaves.isOver);
    await join(leaves);
    stays.send('2/custom,["message",1]');
    assert.equal(await stays.next(), '2/custom,["message-back",1]');
});

each("where recovery is on CONNECT is answered with a pid too, and events carry an offset", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    link.send("0");
    const { sid, pid, ...rest } = JSON.parse((await link.next()).slice(1));
    assert.deepEqual([typeof sid, typeof pid, rest], ["string", "string", {}]);
    assert.notEqual(sid, pid);
    assert.notEqual(pid, link.sid);
    const [event, auth, ...offset] = JSON.parse((await link.next()).slice(1));
    assert.deepEqual([event, auth], ["auth", {}]);
    assert.ok(offset.length <= 1 && offset.every((value) => typeof value === "string"), JSON.stringify(offset));
    link.send('20["to",{"event":"all","args":[1]}]');
    const said = [await link.next(), await link.next()];
    assert.ok(said.includes('30["ok"]'), said.join());
    const [name, arg, last] = JSON.parse(said.find((packet) => packet[0] === "2").slice(1));
    assert.deepEqual([name, arg, typeof last], ["all", 1, "string"]);
}, "--recovery");

/* -- DISCONNECT ------------------------------------------------------------------------------- */

each("DISCONNECT is not answered and leaves the connection; the namespace can be joined again", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    const { sid } = await join(link);
    await join(link, "/custom");
    link.send("1");
    link.send('2/custom,["message","still in custom"]');
    assert.equal(await link.next(), '2/custom,["message-back","still in custom"]');
    assert.notEqual((await join(link)).sid, sid);
    link.send("1/custom,");
    link.send('2["message","in main"]');
    assert.equal(await link.next(), '2["message-back","in main"]');
    link.send("1");
    await wait(400);
    assert.equal(link.isOver, undefined, "the transport stays");
    assert.deepEqual(link.inbox.all, []);
});

/* -- EVENT and ACK ---------------------------------------------------------------------------- */

each("events and acknowledgements keep every JSON value", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    await join(link, "/custom");
    for (const args of ['1,"2",{"3":[true]}', "null", '"a\\"b\\\\c\\n\\u0001"', '"é ✓ 🌊"', "[]", "{}", "[[[[1]]]]", "-1.5e-7,0,12345678901234",
                        '{"_placeholder":false}', '{"b":1,"a":2}', '""', "false,true,null", `"${"x".repeat(100_000)}"`])
        for (const prefix of ["", "/custom,"]) {
            link.send(`2${prefix}["message",${args}]`);
            assert.equal(await link.next(), `2${prefix}["message-back",${args}]`);
            link.send(`2${prefix}7["message-with-ack",${args}]`);
            assert.equal(await link.next(), `3${prefix}7[${args}]`);
        }
    link.send('2["message"]');
    assert.equal(await link.next(), '2["message-back"]');
    link.send('20["message-with-ack"]');
    assert.equal(await link.next(), "30[]");
});

each("an acknowledgement has the id that was asked with", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    for (const id of [0, 1, 456, 2147483648, 9007199254740991]) {
        link.send(`2${id}["message-with-ack","of ${id}"]`);
        assert.equal(await link.next(), `3${id}["of ${id}"]`);
    }
});

each("binary goes both ways, in events and acknowledgements, wherever it stands in them", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    await join(link, "/custom");
    const at = (num) => `{"_placeholder":true,"num":${num}}`;
    for (const prefix of ["", "/custom,"])
        for (const args of [`${at(0)},${at(1)}`, `{"a":${at(0)},"b":[${at(1)},"x"]}`, `1,[[${at(0)}]],"é",{"x":{"y":${at(1)}}}`]) {
            link.send(`52-${prefix}["message",${args}]`, one, other);
            assert.deepEqual([await link.next(), await link.next(), await link.next()],
                [`52-${prefix}["message-back",${args}]`, one, other]);
            link.send(`52-${prefix}789["message-with-ack",${args}]`, one, other);
            assert.deepEqual([await link.next(), await link.next(), await link.next()], [`62-${prefix}789[${args}]`, one, other]);
        }
});

each("attachments may stand in any order, be empty, large, and as many as ten", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    const at = (num) => `{"_placeholder":true,"num":${num}}`;
    link.send(`52-["message",${at(1)},${at(0)}]`, one, other);
    assert.deepEqual([await link.next(), await link.next(), await link.next()], [`52-["message-back",${at(0)},${at(1)}]`, other, one]);
    const ten = Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i));
    const args = ten.map((_, i) => at(i)).join();
    link.send(`510-["message",${args}]`, ...ten);
    assert.equal(await link.next(), `510-["message-back",${args}]`);
    for (const bytes of ten)
        assert.deepEqual(await link.next(), bytes);
    const large = Buffer.from(Array.from({ length: 700_000 }, (_, i) => i % 251));
    link.send(`51-1["message-with-ack",${at(0)}]`, large);
    assert.equal(await link.next(), `61-1[${at(0)}]`);
    assert.deepEqual(await link.next(), large);
});

each("an event that nobody handles is ignored, whatever its name", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    for (const name of ['"nobody"', '""', "1", '"error"', '"constructor"', '"__proto__"', '"auth"', '"message-back"', '"é✓"', `"${"x".repeat(300)}"`])
        link.send(`2[${name},1]`);
    link.send('2["message","still here"]');
    assert.equal(await link.next(), '2["message-back","still here"]');
});

each("many events keep their order", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    for (let i = 0; i < 300; i++)
        if (i % 5)
            link.send(`2["message",${i}]`);
        else
            link.send(`51-["message",${i},{"_placeholder":true,"num":0}]`, Buffer.from(`${i}`));
    for (let i = 0; i < 300; i++)
        if (i % 5)
            assert.equal(await link.next(), `2["message-back",${i}]`);
        else {
            assert.equal(await link.next(), `51-["message-back",${i},{"_placeholder":true,"num":0}]`);
            assert.equal(String(await link.next()), `${i}`);
        }
});

each("the server's question is answered by its id; other answers are ignored", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    const { sid } = await join(link);
    const ids = [];
    for (let round = 0; round < 3; round++) {
        link.send(`2${round}["ask",{"event":"question","args":[1,"two"],"timeout":2000}]`);
        const question = await link.next();
        assert.match(question, /^2\d+\["question",1,"two"\]$/);
        const id = /^2(\d+)/.exec(question)[1];
        ids.push(id);
        link.send(`3${Number(id) + 1000}["wrong"]`);
        link.send(`3${id}["right",${round}]`);
        link.send(`3${id}["twice"]`);
        assert.equal(await link.next(), `3${round}[{"answers":[{"sid":"${sid}","args":["right",${round}]}],"missing":[]}]`);
    }
    assert.equal(new Set(ids).size, 3, "an id was used twice");
});

each("a question and its answer may be binary", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    const { sid } = await join(link);
    link.send('51-0["ask",{"event":"question","args":[{"_placeholder":true,"num":0}],"timeout":2000}]', one);
    const question = await link.next();
    assert.match(question, /^51-\d+\["question",\{"_placeholder":true,"num":0\}\]$/);
    assert.deepEqual(await link.next(), one);
    link.send(`61-${/^51-(\d+)/.exec(question)[1]}[{"_placeholder":true,"num":0}]`, other);
    const answer = await link.next();
    assert.equal(answer, `61-0[{"answers":[{"sid":"${sid}","args":[{"_placeholder":true,"num":0}]}],"missing":[]}]`);
    assert.deepEqual(await link.next(), other);
});

/* -- ends ------------------------------------------------------------------------------------- */

each("the server takes a client out of one namespace: DISCONNECT, and the rest goes on", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    await join(link, "/custom");
    link.send('2/custom,["kick"]');
    assert.equal(await link.next(), "1/custom,");
    link.send('2["message",1]');
    assert.equal(await link.next(), '2["message-back",1]');
    link.send('2["kick",false]');
    assert.equal(await link.next(), "1");
    await join(link);
});

each("the server ends the whole connection: DISCONNECT for each namespace, then the close", async (t, place, transport) => {
    const link = await Link.open(t, place, transport);
    await join(link);
    await join(link, "/custom");
    link.send('2["kick",true]');
    assert.deepEqual([await link.next(), await link.next()].sort(), ["1", "1/custom,"]);
    assert.equal(await link.isClosed(), true);
    const gone = new Polling(place);
    gone.sid = link.sid;
    assert.equal(await gone.isGone(), true);
});

/* -- violations ------------------------------------------------------------------------------- */

const at = (num) => `{"_placeholder":true,"num":${num}}`;

const violations = [
    ["no packet at all", [""]], ["an unknown type", ["7"]], ["another", ["9[]"]], ["letters", ["abc"]], ["a type that is no digit", ["-1"]],
    ["an object for an event", ["2{}"]], ["an empty event", ["2[]"]], ["an event named by an object", ["2[{}]"]],
    ["an event named by null", ["2[null]"]], ["an event named by a list", ["2[[]]"]], ["an event named by a truth value", ["2[true]"]],
    ["a string for an event", ['2"message"']], ["broken JSON", ['2["message",1']], ["JSON with a tail", ['2["message"]x']],
    ["an ack id that is none", ['2abc["message-with-ack",1]']], ["an ack id with a tail", ['21x["message-with-ack",1]']],
    ["a negative ack id", ['2-1["message-with-ack",1]']],
    ...["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"].map(
        (name) => [`an event with the reserved name ${name}`, [`2["${name}",1]`]]),
    ["an object for an ack", ["31{}"]], ["a string for an ack", ['31"a"']], ["broken JSON in an ack", ["31[1"]],
    ["a second CONNECT", ["0"]], ["a second CONNECT with auth", ['0{"a":1}']],
    ["a list for CONNECT", ["0/custom,[]"]], ["a string for CONNECT", ['0/custom,"a"']], ["a number for CONNECT", ["0/tenant-a,null"]],
    ["broken JSON in CONNECT", ["0/custom,{"]], ["DISCONNECT with a payload", ["1{}"]], ["DISCONNECT with another", ['1["a"]']],
    ["CONNECT_ERROR from the client", ['4{"message":"x"}']], ["a bare CONNECT_ERROR", ["4"]],
    ["an event for a namespace not joined", ['2/custom,["message",1]']], ["an event for one that is not served", ['2/random,["message",1]']],
    ["an ack for a namespace not joined", ["3/custom,1[]"]], ["DISCONNECT of a namespace not joined", ["1/custom,"]],
    ["binary that was not announced", [one]], ["an empty binary that was not announced", [Buffer.alloc(0)]],
    ["text where an attachment is due", [`51-["message",${at(0)}]`, '2["message",1]']],
    ["another binary event where an attachment is due", [`51-["message",${at(0)}]`, `51-["message",${at(0)}]`]],
    ["one attachment too many", [`51-["message",${at(0)}]`, one, other]],
    ["an attachment that does not exist", [`51-["message",${at(7)}]`, one]], ["an attachment of a negative number", [`51-["message",${at(-1)}]`, one]],
    ["an attachment that is named", [`51-["message",{"_placeholder":true,"num":"length"}]`, one]],
    ["no number of attachments", ["5"]], ["a number of attachments without a dash", ['51["message"]']],
    ["letters for a number of attachments", ['5x-["message"]']], ["a negative number of attachments", ['5-1-["message"]']],
    ["a fraction of an attachment", ['51.5-["message"]']],
    ["more than ten attachments", [`511-["message",${at(0)}]`]], ["very many attachments", [`5999999999-["message",${at(0)}]`]],
    ["a binary event named by an attachment", [`51-[${at(0)}]`, one]], ["a binary event that is none", ["51-{}"]],
    ["a binary ack that is none", ["61-1{}"]]
];

for (const transport of TRANSPORTS)
    test(`every violation ends the whole connection, and no other (${transport})`, async (t) => {
        const place = await conformance(t, "socket");
        const witness = await Link.open(t, place, transport);
        await join(witness);
        const alive = [];
        for (let begin = 0; begin < violations.length; begin += 12)
            await Promise.all(violations.slice(begin, begin + 12).map(async ([what, messages]) => {
                const link = await Link.open(t, place, transport);
                await join(link);
                await join(link, "/tenant-x");
                for (const message of messages)
                    link.send(message);
                if (!await link.isClosed(3000))
                    alive.push(what);
                link.end();
            }));
        assert.deepEqual(alive, []);
        witness.send('2["message","unmoved"]');
        assert.equal(await witness.next(), '2["message-back","unmoved"]');
    });

each("an event, an ack or a DISCONNECT before any namespace is joined ends the connection", async (t, place, transport) => {
    for (const packet of ['2["message",1]', "31[]", "1", '21["message-with-ack"]', `51-["message",${at(0)}]`, "4{}"]) {
        const link = await Link.open(t, place, transport);
        link.send(packet);
        if (packet[0] === "5")
            link.send(one);
        assert.equal(await link.isClosed(800), true, packet);
    }
});
