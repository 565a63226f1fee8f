#include "ecmigrate/op/row_readers.hpp"

#include <algorithm>

#include "sql_text.hpp"

namespace ecmigrate {

namespace {

using Tokens = std::vector<SqlToken>;

bool is_text(const Tokens& tokens, std::size_t at, std::string_view text) {
  return at < tokens.size() && tokens[at].kind == SqlToken::Kind::other && tokens[at].text == text;
}

bool is_word(const Tokens& tokens, std::size_t at, std::string_view word) {
  return at < tokens.size() && tokens[at].is(word);
}

/// The opening bracket around token `at` in its statement, or npos.
std::size_t bracket_around(const Tokens& tokens, std::size_t at) {
  int depth = 0;
  while (at > 0) {
    --at;
    if (is_text(tokens, at, ";")) {
      break;
    }
    if (is_text(tokens, at, ")")) {
      ++depth;
    } else if (is_text(tokens, at, "(") && depth-- == 0) {
      return at;
    }
  }
  return std::string_view::npos;
}

/// Whether `new` or `old` at `at` is a whole row with `.*`, also as (new).*; `begin` is where that begins.
bool is_star_of_row(const Tokens& tokens, std::size_t at, std::size_t& begin) {
  if (!is_word(tokens, at, "new") && !is_word(tokens, at, "old")) {
    return false;
  }
  begin = at;
  std::size_t next = at + 1;
  if (at > 0 && is_text(tokens, at - 1, "(") && is_text(tokens, next, ")")) {
    begin = at - 1;
    ++next;
  }
  return is_text(tokens, next, ".") && is_text(tokens, next + 1, "*");
}

/// Whether the statement of token `at` has begun with INSERT INTO.
bool in_insert(const Tokens& tokens, std::size_t at) {
  while (at-- > 0 && !is_text(tokens, at, ";")) {
    if (is_word(tokens, at, "insert") && is_word(tokens, at + 1, "into")) {
      return true;
    }
  }
  return false;
}

CopiesRows copied_at(const Tokens& tokens, std::size_t begin) {
  if (!in_insert(tokens, begin)) {
    return CopiesRows::no;
  }
  const std::size_t bracket = bracket_around(tokens, begin);
  if (bracket == std::string_view::npos) {
    return CopiesRows::yes;
  }
  if (bracket > 0 && is_word(tokens, bracket - 1, "values")) {
    return CopiesRows::yes;
  }
  // A subquery, or else the arguments of a function, which takes what it is given.
  return is_word(tokens, bracket + 1, "select") ? CopiesRows::perhaps : CopiesRows::no;
}

bool has_dynamic_copy(const Tokens& tokens) {
  return std::ranges::any_of(tokens, [](const SqlToken& token) {
    if (token.kind != SqlToken::Kind::literal) {
      return false;
    }
    const Tokens inner =
        sql_tokens(token.text.substr(1, token.text.size() - std::min<std::size_t>(2, token.text.size())));
    for (std::size_t i = 0; i + 2 < inner.size(); ++i) {
      const bool parameter = is_text(inner, i, "$") || is_word(inner, i, "new") || is_word(inner, i, "old");
      if (parameter && in_insert(inner, i)) {
        for (std::size_t next = i + 1; next + 1 < inner.size() && next < i + 4; ++next) {
          if (is_text(inner, next, ".") && is_text(inner, next + 1, "*")) {
            return true;
          }
        }
      }
    }
    return false;
  });
}

bool among_arguments(const Trigger& trigger, std::string_view column) {
  for (std::size_t at = 0; at < trigger.arguments.size();) {
    const std::size_t end = std::min(trigger.arguments.find('\n', at), trigger.arguments.size());
    if (std::string_view(trigger.arguments).substr(at, end - at) == column) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

}  // namespace

bool reads_new_column(const Trigger& trigger, std::string_view column) {
  if (among_arguments(trigger, column)) {
    return true;
  }
  if (trigger.language != "plpgsql") {
    // Of a function in C the catalog has its symbol alone.
    return trigger.language != "c" && trigger.language != "internal" &&
           trigger.source.find(column) != std::string::npos;
  }
  const Tokens tokens = sql_tokens(trigger.source);
  for (std::size_t i = 0; i + 2 < tokens.size(); ++i) {
    const bool assigned = is_text(tokens, i + 3, ":") || is_text(tokens, i + 3, "=");
    const bool statement = i == 0 || is_text(tokens, i - 1, ";") || is_word(tokens, i - 1, "then") ||
                           is_word(tokens, i - 1, "begin") || is_word(tokens, i - 1, "else") ||
                           is_word(tokens, i - 1, "loop");
    if (is_word(tokens, i, "new") && is_text(tokens, i + 1, ".") && tokens[i + 2].is(column) &&
        !(assigned && statement)) {
      return true;
    }
  }
  return false;
}

bool hands_on_new_row(const Trigger& trigger) {
  if (trigger.language != "plpgsql") {
    return false;
  }
  const Tokens tokens = sql_tokens(trigger.source);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!is_word(tokens, i, "new") || (i > 0 && is_text(tokens, i - 1, "."))) {
      continue;
    }
    const std::size_t next = is_text(tokens, i + 1, ".") && is_text(tokens, i + 2, "*") ? i + 3 : i + 1;
    const std::size_t bracket = bracket_around(tokens, i);
    const bool argument = (is_text(tokens, next, ")") || is_text(tokens, next, ",")) &&
                          bracket != std::string_view::npos && bracket > 0 &&
                          tokens[bracket - 1].kind != SqlToken::Kind::other;
    if (argument || (is_text(tokens, next, ":") && is_text(tokens, next + 1, ":"))) {
      return true;
    }
  }
  return false;
}

CopiesRows copies_rows(const Trigger& trigger) {
  if (trigger.language != "plpgsql") {
    return CopiesRows::no;
  }
  const Tokens tokens = sql_tokens(trigger.source);
  CopiesRows found = has_dynamic_copy(tokens) ? CopiesRows::perhaps : CopiesRows::no;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::size_t begin = i;
    if (is_star_of_row(tokens, i, begin)) {
      found = std::max(found, copied_at(tokens, begin));
    }
  }
  return found;
}

bool takes_whole_rows(std::string_view source, std::string_view table) {
  const Tokens tokens = sql_tokens(source);
  bool star = false;
  bool named = false;
  for (std::size_t i = 0; i <= tokens.size(); ++i) {
    if (i == tokens.size() || is_text(tokens, i, ";")) {
      if (star && named) {
        return true;
      }
      star = named = false;
      continue;
    }
    named = named || tokens[i].is(table);
    const bool whole = i > 0 && (is_word(tokens, i - 1, "select") || is_word(tokens, i - 1, "returning") ||
                                 is_word(tokens, i - 1, "distinct") || is_text(tokens, i - 1, "."));
    star = star || (is_text(tokens, i, "*") && whole);
  }
  return false;
}

}  // namespace ecmigrate
