import type { ReactNode } from "react";

// Colours for text that is only read; the editor has a real grammar. Long texts stay plain.
const LONGEST = 40_000;

const SQL =
  /(--[^\n]*|\/\*[\s\S]*?\*\/)|('(?:[^']|'')*')|\b(\d+(?:\.\d+)?)\b|\b(select|from|where|group|order|by|having|limit|offset|join|left|right|full|inner|outer|cross|on|using|as|and|or|not|null|is|in|like|between|case|when|then|else|end|with|union|all|distinct|insert|into|values|update|set|delete|merge|create|table|view|schema|replace|drop|alter|add|column|grant|revoke|to|exists|interval|true|false|asc|desc|over|partition|rows|range|comment|location|format|cast)\b/gi;
const JSON_TEXT = /()("(?:[^"\\]|\\.)*")|\b(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\b|\b(true|false|null)\b/g;

const COLOURS = ["var(--code-comment)", "var(--code-string)", "var(--code-number)", "var(--code-keyword)"];

/** The text in coloured pieces. */
export function highlight(text: string, language: "sql" | "json"): ReactNode {
  if (text.length > LONGEST) return text;
  const pieces: ReactNode[] = [];
  let end = 0;
  for (const match of text.matchAll(language === "sql" ? SQL : JSON_TEXT)) {
    if (match.index > end) pieces.push(text.slice(end, match.index));
    const kind = match.slice(1).findIndex(Boolean);
    pieces.push(
      <span key={match.index} style={{ color: COLOURS[kind] }}>
        {match[0]}
      </span>,
    );
    end = match.index + match[0].length;
  }
  pieces.push(text.slice(end));
  return pieces;
}
