// Rules for the page's scripts and their tests; the types are checked by TypeScript (tsconfig.json).

import js from "@eslint/js";
import globals from "globals";

const markup = (object, property) => ({ object, property, message: "Text stays text: make() and shape() in elements.js build elements." });

export default [
  js.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML", "createContextualFragment", "setHTMLUnsafe"].map((property) => markup(undefined, property)),
        markup("document", "write"),
        markup("document", "writeln"),
      ],
      "no-shadow-restricted-names": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": ["error", { destructuring: "all" }],
    },
  },
  { files: ["**/*.test.mjs"], languageOptions: { globals: globals.node } },
];
