// Shapes of the data that the scripts share: what Python sends (docstrings of `naslab_widgets`), and what the views hand to
// one another. Types only: this file is never joined into what a page loads.

// --- drawing ----------------------------------------------------------------------------------------

export type Pen = CanvasRenderingContext2D;
export type Timer = ReturnType<typeof setTimeout>;
/** A colour for a light ground, and one for a dark ground. */
export type Colours = string[];

export interface Theme {
  text: string;
  ground: string;
  dark: boolean;
  font: string;
}

/** A rectangle, in pixels. */
export interface Frame {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** An upright axis: its ends, and the share of its height at which a value lies. */
export interface Axis {
  low: number;
  high: number;
  place: (value: number) => number;
  powers: boolean;
}

/** A horizontal axis that the views of trials share, from steps to pixels and back. */
export interface OrderScale {
  first: number;
  last: number;
  right: number;
  across: (step: number) => number;
  at: (x: number) => number;
}

export interface TooltipLine {
  text: string;
  colour?: string;
  strong?: boolean;
}

export interface Tooltip {
  show(event: MouseEvent, lines: TooltipLine[]): void;
  hide(): void;
}

/** Where the pointer is, relative to the canvas. */
export interface Point {
  offsetX: number;
  offsetY: number;
}

/** A metric over the steps: what it is, and its lines as [name, label]. `direction` says what is better. */
export interface Chart {
  title: string;
  name?: string;
  unit: string;
  direction: "max" | "min" | null;
  series: [name: string, label: string][];
  colours?: Colours[] | null;
}

// --- the widget and its messages ----------------------------------------------------------------------

/** A message to Python. */
export type Send = (message: Record<string, unknown>) => void;

/** The head of a message from Python. Those with a `number` follow one another; others are answers. */
export interface Numbered {
  type: string;
  number?: number;
}

/** What every numbered message of a search brings: its status, and the sections whose state is another than before. */
interface Progress<Sections = Record<string, any>, S = Status> extends Numbered {
  number: number;
  status: S;
  sections: Sections;
}

/** All rows of a search with a supernet (`snapshot`), or the new ones; in its buffer [T, width] float64. */
export interface RowsMessage extends Progress<RowsState["sections"], LoggedStatus> {
  type: "snapshot" | "rows";
}

/** All rows around an earlier step, in its buffer. */
export interface MomentMessage extends Numbered {
  type: "moment";
  step: number;
}

/** The status and sections of a deck; `fresh` if these are all sections. */
export interface DeckMessage extends Progress {
  type: "deck";
  fresh: boolean;
}

/** New trials: tables, each with a buffer [T, width] float64; all of them if `fresh`. */
export interface TrialsMessage extends Progress<TrialsState["sections"], TrialsStatus> {
  type: "trials";
  fresh: boolean;
  tables: TableHead[];
  /** SVG, sent once. */
  supernet?: string;
  families?: (number | null)[];
  options?: Record<string, string[]>;
  questions?: Record<string, string>;
  notes?: Record<string, Note>;
}

/** The trials around an earlier step, in its buffer; the best until then, and the child of that step. */
export interface TrialsMomentMessage extends Numbered {
  type: "moment";
  step: number;
  best: number | null;
  child: LitChild | null;
}

/** The selected trial; in its buffer its row and those of its ancestors. */
export type CandidateMessage = Numbered & { type: "candidate" } & (
    | { selected: null; chosen: false }
    | Omit<Portrait, "ancestry">
  );

/** The rows of several searches, a buffer for each. */
export interface CompareMessage extends Numbered {
  type: "snapshot" | "rows";
  number: number;
  status: CompareStatus;
}

/** A cell that a lane asked for. */
export interface CellMessage extends Numbered {
  type: "portrait";
  track: number;
  cell: number;
  told: CellPortrait | null;
}

/** All bands of a race; a buffer [points of all searchers, 8] for each kind. */
export interface BandsMessage extends Numbered {
  type: "bands";
  number: number;
  status: RaceStatus;
  kinds: BandsHead[];
  /** Those of the first kind. */
  points: number[];
}

/** The path of the derived architecture and, if `rows`, all rankings, in its buffers. */
export interface RankingMessage extends Numbered {
  type: "ranking";
  number: number;
  status: RankingState["status"];
  rows: boolean;
}

/** A beat of the kernel, the number of the newest still picture, or that picture itself. */
export type DisplayMessage =
  | { type: "beat"; held: number }
  | { type: "still"; number: number }
  | { type: "bundle"; number: number; bundle: Record<string, string> };

export interface Kernel {
  supportsSubshells?: boolean;
  commsOverSubshells?: string;
}

/** The part of anywidget's model that the scripts use. */
export interface Model {
  get(name: string): any;
  send(message: object): void;
  on(event: string, listener: (...given: any[]) => void): void;
  off(event: string, listener: (...given: any[]) => void): void;
  widget_manager?: any;
}

/** What a connection needs of it. */
export type Connection = Pick<Model, "send" | "on" | "off"> & { widget_manager?: any };

export interface Widget {
  model: Model;
  el: HTMLElement;
}

/** The place that the widgets of a panel share: the moment that it looks back to (null: now) and the selected edge. */
export interface Cursor {
  readonly at: number | null;
  readonly selected: { part: string; edge: number } | null;
  set(change: { at?: number | null; selected?: { part: string; edge: number } | null }): void;
  on(listener: () => void): () => void;
}

/** The state behind a cursor, which the page keeps. */
export interface PanelState {
  at: number | null;
  selected: { part: string; edge: number } | null;
  listeners: Set<() => void>;
}

export interface LogLine {
  step: number;
  text: string;
  error?: boolean;
}

/** A mark on a time bar. */
export type Mark = [place: number, kind: string, sentence: string];

/** Marks of one kind that are drawn as one. */
export interface PlacedMark {
  x: number;
  place: number;
  kind: string;
  count: number;
  sentences: string[];
}

/** What a search is judged by; `sign` makes a fitness, of which more is better, the objective again. */
export interface Objective {
  name: string;
  title: string;
  direction?: "max" | "min" | null;
  unit: string;
  sign: number;
}

/** How far a search is, and what the status line says. */
export interface Status {
  state: string;
  step: number;
  total: number | null;
  /** What one step is called. */
  unit?: string;
  /** Steps a second, and seconds left. */
  rate?: number;
  left?: number | null;
  /** What went wrong. */
  message?: string;
  epoch?: number | null;
  failed?: number;
  objective?: Objective;
  best?: Record<string, number> | null;
  /** The fitness of what would be derived now, where that is not the best that was judged. */
  derived?: { fitness: number | null } | null;
  /** Settings in force: a number, or a word. */
  rates?: Record<string, number | string>;
}

/** With what the log below the pictures says. */
export interface LoggedStatus extends Status {
  log: LogLine[];
  /** [step, what happened before it] each. */
  marks: [step: number, text: string][];
  /** Metric -> [step, value] of each time that it was measured by itself. */
  measured?: Record<string, [step: number, value: number | null][]>;
}

// --- supernets ----------------------------------------------------------------------------------------

/** A step: its number, the metrics, then for each part softmax(alpha) [E, O] and the kept operation [E], -1 if dropped. */
export type Row = Float64Array;

export interface Operation {
  name: string;
  colours: Colours;
}

/** A cell of a supernet, laid out; `probabilities` and `kept` are the first of its columns in a row. */
export interface Part {
  name: string;
  labels: string[];
  probabilities: number;
  kept: number;
  size: [width: number, height: number];
  nodes: { label: string; at: [x: number, y: number]; role: string }[];
  /** `row` is the edge's number among the searched ones, -1 for a fixed one. */
  edges: { path: string; label: [x: number, y: number]; row: number }[];
}

export interface LiveDescription {
  panel: string;
  operations: Operation[];
  parts: Part[];
  charts: Chart[];
  metrics: Record<string, number>;
  width: number;
  notes: string[];
  sections: { sheet?: EdgeSheetAbout };
}

/** The rows of a search as the page keeps them; `near` are all rows around a step that Python was asked for. */
export interface RowsState {
  rows: Row[];
  near: Row[];
  sections: { sheet?: EdgeSheetState };
  status: LoggedStatus;
}

/** What a view of a supernet draws: `moment` is the row that is shown, if it is not the last. */
export interface Shown {
  rows: Row[];
  moment?: Row;
  at?: number | null;
  /** For each edge, what other searches keep there instead. */
  otherwise?: string[][];
}

/** `has`: part after part, edge after edge, the numbers of the operations that there are. */
export interface EdgeSheetAbout {
  has: number[][][];
  nudge: boolean;
  everywhere: boolean;
}

/** What is forbidden: on all edges; part after part by row; and which edges are left out. */
export interface Rules {
  everywhere: number[];
  masks: Record<string, number[]>[];
  dropped: number[][];
}

/** The costs and shapes of an edge, in the order of its operations. */
export interface Anatomy {
  part: number;
  edge: number;
  parameters: (number | null)[];
  multiply_adds: (number | null)[];
  fields: [height: number, width: number][];
  cells: number;
  reads: number[];
  gives: number[];
}

/** Gradients of one pass, part after part, [E, O]: lengths of those of the weights, and slopes of the shares. */
export interface Gradients {
  step: number;
  examples: number;
  parameters: (number | null)[][][];
  shares: (number | null)[][][];
}

/** Feature maps of one example, a row an operation; `grey` is base64 of [height, width] bytes. */
export interface FeatureMaps {
  part: number;
  edge: number;
  example: number;
  operations: number[];
  size: [width: number, height: number];
  grey: string;
}

export interface EdgeSheetState {
  now: Rules;
  next: Rules;
  nudges: [part: number, edge: number, operation: number, by: number][];
  busy: string[];
  refused: string;
  anatomy?: Anatomy[];
  gradients?: Gradients;
  maps?: FeatureMaps;
}

// --- trials -------------------------------------------------------------------------------------------

export type TrialColumn =
  | "step"
  | "number"
  | "fitness"
  | "best"
  | "origin"
  | "candidate"
  | "stage"
  | "fidelity"
  | "hurdle"
  | "missed"
  | "parent"
  | "second_parent"
  | "parent_step"
  | "family"
  | "generation"
  | "rank"
  | "regret"
  | "best_regret";
/** Where each column of a trial stands in its row. */
export type Columns = Record<TrialColumn, number>;

/** The table that the fitness is read from, where there is one. */
export interface Truth {
  metric: string;
  candidates: number;
}

export interface TrialsDescription {
  panel: string;
  columns: TrialColumn[];
  truth: Truth | null;
  /** Colours of the families, the last for all others. */
  families: Colours[];
  hues: Colours[];
  population: number;
  /** How many of the best and of the last the table lists. */
  listed: number;
  charts: Chart[];
  notes: string[];
  /** [stop, "#rrggbb"] of the colour scale. */
  scale: [number, string][];
  sections: { candidate?: CandidateAbout; decision?: object };
}

/** The head of a table in a message; its numbers are in the buffer beside it. */
export interface TableHead {
  name: string;
  width: number;
  reset: boolean;
  stride: number;
  /** Name and width of each column behind the step. */
  columns?: [name: string, width: number][] | null;
}

/** A table that grows; column 0 is the step. */
export interface Table {
  rows: Row[];
  stride: number;
  version: number;
  columns?: [name: string, width: number][];
}

/** What a message says of a trial that is no number. */
export interface Note {
  figures: Record<string, number>;
  message: string;
  status: string;
}

/** The child of a step in the supernet: SVG to lay over it, and what it went through in words. */
export interface LitChild {
  step: number;
  said: string;
  lit: string;
}

export interface TrialsStatus extends LoggedStatus {
  /** Name and colours of each origin of a candidate. */
  origins: [name: string, light: string, dark: string][];
  /** The first step that is shown. */
  since?: number;
  /** Why there is nothing to draw. */
  empty?: string;
  child?: LitChild | null;
}

/** The answer to the selection of a trial. */
export interface Portrait {
  selected: number;
  chosen: boolean;
  picture: string;
  choices: [name: string, value: string][];
  figures: Record<string, number>;
  status: string;
  parents: number[];
  message: string;
  /** Its row, and those of its ancestors. */
  ancestry: Row[];
}

export interface TrialsState {
  /** What Python knows of the moment that one looks back to. */
  past: { step: number; best: number | null; child: LitChild | null; near: Row[] } | null;
  status: TrialsStatus;
  /** Decision -> the names of its options. */
  options: Record<string, string[]>;
  /** Decision -> what it is called where people read it. */
  questions: Record<string, string>;
  sections: { candidate?: CandidateState; decision?: DecisionState | null };
  tables: Record<string, Table>;
  /** Number of an evaluation -> its note. */
  notes: Map<number, Note>;
  /** Slot -> the family that has its colour. */
  families: (number | null)[];
  candidate: Portrait | null;
  /** All known rows, in the order of the steps. */
  trials: Row[];
  byNumber: Map<number, Row>;
  /** Numbers of trials whose training went on. */
  continued: Set<number>;
  /** Number -> the row of the same candidate before it. */
  before: Map<number, Row>;
  hurdled: boolean;
  /** The longest training. */
  longest: number;
  /** Of the trials: another number, other trials. */
  version: number | string;
  supernet?: string;
  at?: number | null;
  best?: Record<string, number> | null;
}

export interface CandidateAbout {
  acts: string[];
}

/** What can be said of a candidate beside its portrait; `curve` is [epochs, fitness] each. */
export interface CandidateFacts {
  candidate: number;
  fate: string;
  children: [number: number, fitness: number | null][];
  brood: number;
  curve: [epochs: number, fitness: number][];
  ends: number[];
  text: string;
}

/** Whether a candidate lives, is protected, was killed, and what the next step will do to it. */
export interface Hand {
  alive: boolean;
  protected: boolean;
  killed: boolean;
  wished: string[];
}

export interface WaitingArchitecture {
  key: number;
  text: string;
  pending: boolean;
  act: "add" | "withdraw";
}

export interface CandidateState {
  number: number | null;
  told: CandidateFacts | null;
  hand: Hand;
  waiting: WaitingArchitecture[];
  refused: string;
  /** Counts the architectures that were taken. */
  done: number;
}

/** A decision over the steps: [T, options] each. */
export interface DecisionState {
  name: string;
  refused: string;
  steps: number[];
  probabilities: number[][];
  uniform: number;
  entropy: number[];
  /** The entropy of a policy that has learnt nothing. */
  most: number;
  values: (number | null)[][] | null;
}

// --- the deck above the pictures ----------------------------------------------------------------------

/** What each section of a deck is given. */
export interface SectionContext<About = any> {
  send: Send;
  about: About;
  tooltip: Tooltip;
  cursor: Cursor;
  root: HTMLElement;
  /** Where a section lets others put something. */
  places: { doing?: HTMLElement; moment?: HTMLElement };
  sections: () => Record<string, any>;
  redraw: () => void;
}

/** Draws a section from the state that Python tells; `close` takes away what it listens to. */
export type DrawSection = ((state: any, status: Status, theme: Theme) => void) & { close?: () => void };

export interface Until {
  name: string;
  label: string;
  number: number | null;
}

export interface StripAbout {
  several: boolean;
  until: Until[];
  frozen?: string[];
}

/** Which buttons can be pressed now; whether each part of the search is frozen. */
export interface StripState {
  can: string[];
  frozen: boolean[];
}

export interface ChoiceAbout {
  title: string;
  options: [name: string, description: string][];
}

export interface Setting {
  name: string;
  kind: "slider" | "checkbox" | "dropdown" | "count";
  description: string;
  group: string;
  low: number;
  high: number;
  log: boolean;
  options: unknown[];
}

export interface SettingsAbout {
  settings: Setting[];
  /** Whether each can be given back to its schedule. */
  back?: boolean[];
}

/** The value of each setting, in the order of the description; whether the search is over. */
export interface SettingsState {
  values: any[];
  over: boolean;
}

/** A control of a setting: `show` is given the value that was set, and the one in force. */
export interface Control {
  input: HTMLInputElement | HTMLSelectElement;
  show(value: any, now?: number | string): void;
}

/** A change that a fork can make: of a number, or one of a few options, or an option that a mask then forbids. */
export type Change =
  | { name: string; kind: "number"; value: number; low: number | null; high: number | null }
  | { name: string; kind: "options"; options: [value: unknown, label: string][] }
  | { name: string; kind: "mask"; what: string; options: [row: string, offered: [value: unknown, label: string][]][] };

export interface BranchesAbout {
  changes: Change[];
  forks: boolean;
  folders: boolean;
}

export interface Branch {
  run: string;
  name: string;
  /** Its place in the list; null for the first. */
  parent: number | null;
  /** The step at which it parted. */
  parted: number;
  /** null: of the search that is driven here, which is as far as the status says. */
  step: number | null;
  total: number;
  kind: "live" | "left" | "gone";
  where: string;
  shown: boolean;
}

/** A fork, or a way back, under way. */
export interface Work {
  what: string;
  step: number;
  done: number;
  total: number;
}

/** What going back to a step takes, in words. */
export interface Cost {
  step: number;
  again: string;
  left: string;
}

export interface BranchesState {
  rows: Branch[];
  busy: Work | null;
  told: Cost | null;
  error: string;
  name: string;
}

export type Level = "grey" | "amber" | "red";

export interface WatchState {
  level: Level;
  sentence: string;
  why: [sentence: string, source: string, link: string][];
  turns: [step: number, level: Level, sentence: string][];
  remedies: [name: string, sentence: string, source: string, link: string, step: number][];
  measures: boolean;
}

/** Something that was done to a search. */
export interface Intervention {
  number: number;
  step: number;
  name: string;
  sentence: string;
  who: string;
  undoes: number | null;
  undone: number | null;
  pending: boolean;
  undoable: boolean;
  why_not: string;
}

export interface LedgerState {
  rows: Intervention[];
  count: number;
  /** A program: its lines, each in pieces; `asked` counts how often it was asked for. */
  script: { asked: number; lines: string[][] };
}

/** A learning-rate range test; `points` are [rate, loss, smoothed loss] each. */
export interface RangeTest {
  name: string;
  metric: string;
  unit: string;
  points: [rate: number, loss: number, mean: number][];
  low: number;
  high: number;
  now: number;
  suggestion: number | null;
  steepest: number | null;
  steps: number;
  ended: boolean;
}

export interface BeforeState {
  shown: boolean;
  line: string;
  trouble: string;
  busy: string;
  quick: boolean;
  findable: string[];
  rates: RangeTest[];
}

/** What a time bar shows: the first and last place, the end, where one looks (null: now), the marks. */
export interface TimeBarState {
  first: number;
  last: number;
  total: number | null;
  at: number | null;
  marks: Mark[];
  /** Goes so many steps on, where places are not numbers one after the other. */
  move?: (place: number, by: number) => number;
}

export interface TimeBarOptions {
  tooltip: Tooltip;
  /** Takes the place that was chosen. */
  go: (place: number) => void;
  /** The place that `go` has set, which a busy page draws only later: the next key goes on from there. */
  moment: () => number | null;
  /** A place in words. */
  tell: (place: number) => string;
  label: string;
}

// --- several searches ---------------------------------------------------------------------------------

export type AxisName = "steps" | "epochs" | "seconds" | "share";

export interface Track {
  name: string;
  width: number;
  total: number;
  /** The same for searches whose cells can be compared. */
  kin: string;
  columns: Record<string, number>;
  operations: Operation[];
  parts: Part[];
  colours: Colours;
  dash: number[];
}

/** `columns`: the name of its column in each track, null where there is none. */
export interface CompareChart {
  title: string;
  unit: string;
  direction: "max" | "min" | null;
  columns: (string | null)[];
}

export interface CompareDescription {
  panel: string;
  tracks: Track[];
  charts: CompareChart[];
  rankings: string[];
  /** What each axis is. */
  axes: Record<AxisName, string>;
  notes: string[];
}

export interface TrackStatus {
  state: string;
  step: number;
  total: number;
  message: string;
  lacks: string[];
  ranked?: (number | null)[][];
  /** Metric -> [steps, epochs, seconds, share, value] each. */
  measured?: Record<string, (number | null)[][]>;
  log?: LogLine[];
  marks?: [step: number, text: string][];
}

export interface CompareStatus extends Omit<LoggedStatus, "measured"> {
  axis: AxisName;
  tracks: TrackStatus[];
}

/** A cell of a space without edges. */
export interface CellPortrait {
  picture: string;
  choices: [name: string, value: string][];
}

export interface CompareState {
  tracks: { rows: Row[]; shown: Row[] }[];
  status: CompareStatus;
  axis: AxisName;
  at: number | null;
  /** The end of the axis. */
  limit: number;
  marks: number[][];
  /** "track:cell" -> its portrait. */
  portraits: Map<string, CellPortrait | null>;
}

export interface RaceDescription {
  panel: string;
  searchers: { name: string; colour: string }[];
  cost: string;
  budget: number;
  /** Whether the cost is counted in whole numbers. */
  whole: boolean;
  notes: string[];
}

export interface RaceStatus extends Status {
  kind: "best" | "regret" | "rank";
  title: string;
  sign: number;
}

/** The bands of one kind in a message: how many points each has. */
export interface BandsHead {
  kind: RaceStatus["kind"];
  title: string;
  points: number[];
}

/** For each searcher the rows of its band. */
export interface RaceBands {
  bands: Row[][];
  status: RaceStatus;
  at: number | null;
}

// --- the ranking of shared weights --------------------------------------------------------------------

export interface RankingDescription {
  panel: string;
  /** Statistic -> the first of its three columns: value, lower and upper end of its interval. */
  columns: Record<string, number>;
  /** The first column of the best by score: its score, truth and rank. */
  best: number;
  /** The first column of the scores. */
  scores: number;
  lines: { figure: string; label: string; colours: Colours }[];
  derived: Colours;
  score: { title: string; scale: number };
  size: number;
  optimum: number;
  truth: number[];
  ranks: number[];
  names: string[];
}

export interface RankingState {
  rows: Row[];
  /** [step, truth, rank, regret] of what would be derived from each step on. */
  path: Row[];
  status: { end: number; total: number | null; headline: string; story: string; turn: { step: number } | null };
  at?: number | null;
}

// --- composing a cell ---------------------------------------------------------------------------------

export interface ComposeDescription {
  operations: Operation[];
  size: [width: number, height: number];
  nodes: { label: string; at: [x: number, y: number] }[];
  edges: { path: string; label: [x: number, y: number]; name: string }[];
  metric: string;
  cells: number;
  queries: number;
}

export interface Attempt {
  number: number;
  worth: number;
  percentile: number;
  rank: number;
  regret: number;
}

/** Regret of evolution's best after 1, 2, ... queries: quartiles and median; empty while it is at work. */
export interface Machine {
  median?: number[];
  lower?: number[];
  upper?: number[];
  seeds?: number;
}

// --- functions that views are given, and return ---------------------------------------------------------

/** Is given the step, or the place on an axis, that was clicked. */
export type Go = (place: number) => void;
/** Chooses a trial by its number; null is the best, undefined only draws anew. */
export type Choose = (number: number | null | undefined) => void;
export type DrawLive = (shown: RowsState & Shown, theme: Theme, focus: number | null, hidden?: boolean) => void;
export type DrawTrials = (state: TrialsState, theme: Theme, chosen: number | null) => void;
export type DrawRanking = (state: RankingState, row: Row | undefined, theme: Theme) => void;
export type DrawCurves = (state: { rows: Row[]; status: Pick<LoggedStatus, "measured" | "marks">; at?: number | null }, theme: Theme) => void;

/** An edge by the numbers of its part and of itself. */
export interface EdgePlace {
  part: number;
  edge: number;
}

/** Something that is tried out: so much added to the alpha of an operation. */
export interface Nudge {
  operation: number;
  by: number;
}

/** Where the end of a bar stands: its share, what is tried out, and the share to which that leads. */
export interface NudgeAim {
  share: number;
  rule?: string;
  mine?: Nudge | null;
  aim?: number | null;
}

/** One operation of the edge sheet. */
export interface OperationLine {
  operation: number;
  draw(shown: {
    theme: Theme;
    share: number;
    tried: number | null;
    drag: Nudge | null;
    curve: string;
    sheet: EdgeSheetState | undefined;
    shown: EdgePlace;
    of: Anatomy | undefined;
    at: number;
    left: number[];
  }): void;
}
