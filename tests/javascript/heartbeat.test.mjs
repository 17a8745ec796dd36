import assert from "node:assert/strict";
import { test } from "node:test";
import { heartbeat, goneText } from "../../widgets/naslab_widgets/static/heartbeat.js";

// Looks twice a second, with a beat wherever `beats` says so; the longest silence that was told.
/**
 * @param {(now: number) => boolean} beats
 * @param {number} seconds
 * @param {{visible?: (now: number) => boolean, free?: (now: number) => boolean, held?: number}} options
 */
function silence(beats, seconds, { visible = () => true, free = () => true, held = 0 } = {}) {
  const ear = heartbeat(0);
  let longest = 0;
  let first = null;
  for (let now = 500; now <= 1000 * seconds; now += 500) {
    if (beats(now)) ear.beat(now, held);
    const told = ear.tick(now, visible(now), free(now));
    if (told && first === null) first = now;
    longest = Math.max(longest, told);
  }
  return { longest, first };
}

const everySecond = (now) => now % 1000 === 0;

test("a kernel that beats is never said to be silent, however long its steps are", () => {
  assert.equal(silence(everySecond, 300).longest, 0);
});

test("one that stops is said to be silent within five seconds", () => {
  const { first, longest } = silence((now) => now <= 20000 && everySecond(now), 60);
  assert.ok(first > 20000 && first <= 25000, `${first}`);
  assert.equal(longest, 40000);
});

test("a page that slept, or is hidden, has no right to complain", () => {
  const ear = heartbeat(0);
  ear.beat(1000);
  assert.equal(ear.tick(1500, true), 0);
  assert.equal(ear.tick(3600000, true), 0, "the machine slept for an hour");
  assert.equal(ear.tick(3600500, true), 0);
  assert.equal(silence(() => false, 300, { visible: () => false }).longest, 0);
  assert.equal(silence((now) => now > 200000 && everySecond(now), 230, { visible: (now) => now > 200000 }).longest, 0);
});

test("a cell that runs keeps the kernel from hearing of the page, which then waits for a first beat", () => {
  assert.equal(silence(() => false, 300, { free: () => false }).longest, 0);
  assert.equal(silence((now) => now > 100000 && everySecond(now), 300, { free: (now) => now > 99000 }).longest, 0);
  const { first } = silence((now) => now < 50000 && everySecond(now), 300, { free: () => false });
  assert.ok(first > 49000 && first <= 54000, "one that has begun to beat, and stops, is another matter");
  assert.ok(silence(() => false, 60).first <= 11000, "a free kernel that never answers is said to be silent");
});

test("where operations hold the interpreter for ten seconds a page learns to wait", () => {
  const slow = (now) => now % 11000 === 0;
  assert.equal(silence((now) => now === 1000 || slow(now), 300, { held: 10 }).longest, 0);
  assert.ok(silence(slow, 30).longest > 0);
});

test("what became of the kernel is said in words", () => {
  assert.equal(goneText("restarting"), "the kernel was restarted");
  assert.equal(goneText("autorestarting"), "the kernel died, and another was started");
  assert.equal(goneText("dead"), "the kernel was shut down");
  assert.equal(goneText(""), "the kernel is gone");
});
