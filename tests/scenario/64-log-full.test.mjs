// A log whose disk is full: publishers are told, readers are served, nothing that was acknowledged goes.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { Broker } from "./support/cli.mjs";

test("g2_what_was_acknowledged_before_the_disk_was_full_is_there_after_a_restart", async (t) => {
    const broker = await Broker.start(t, [], { fileBlocks: 32768 });
    const input = Array.from({ length: 200000 }, (_, i) => `${i}\n`).join("");
    const pub = await broker.tidemarkWith(input, "pub", "a", "n", "-");
    assert.equal(pub.code, 1);
    assert.match(pub.err, /^tidemark pub: line \d+: log_full: .*\n.*given up at line \d+.*\n$/);
    const stood = pub.out.trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(stood.length > 1000 && stood.length < 200000);

    const read = async () => (await broker.tidemark("history", "a", "--limit", "1000000")).out
        .trim().split("\n").map((line) => JSON.parse(line));
    const full = await read();
    assert.deepEqual(full.map(({ seq }) => seq), stood.map(({ seq }) => seq), "readers are served on");

    /* There is room again. */
    await broker.kill9();
    broker.fileBlocks = undefined;
    await broker.restart();
    assert.deepEqual(await read(), full);
    const more = await broker.tidemark("pub", "a", "n", "\"more\"");
    assert.equal(more.code, 0, more.err);
    assert.equal(JSON.parse(more.out).seq, full.length + 1);
});
