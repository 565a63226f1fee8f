#include "sql_text.hpp"

#include <algorithm>
#include <cctype>

#include "ecmigrate/base/quote.hpp"

namespace ecmigrate {

namespace {

bool begins_word(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

bool in_word(char c) {
  return begins_word(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '$';
}

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// Behind a quoted text that begins at `at`; the quote doubled, or behind a backslash in E'…', is part of it.
std::size_t behind_quotes(std::string_view text, std::size_t at, bool backslashes) {
  const char quote = text[at];
  for (++at; at < text.size(); ++at) {
    if (backslashes && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (at + 1 >= text.size() || text[at + 1] != quote) {
        return at + 1;
      }
      ++at;
    }
  }
  return text.size();
}

/// Behind the comment that begins at `at`, or `at` where none does. Comments of SQL may stand in one another.
std::size_t behind_comment(std::string_view text, std::size_t at) {
  if (text.substr(at).starts_with("--")) {
    return std::min(text.find('\n', at), text.size());
  }
  if (!text.substr(at).starts_with("/*")) {
    return at;
  }
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text.substr(at).starts_with("/*")) {
      ++depth;
      ++at;
    } else if (text.substr(at).starts_with("*/")) {
      ++at;
      if (--depth == 0) {
        return at + 1;
      }
    }
  }
  return text.size();
}

/// Behind $tag$ … $tag$ at `at`, or `at` where there is none.
std::size_t behind_dollars(std::string_view text, std::size_t at) {
  std::size_t end = at + 1;
  while (end < text.size() && in_word(text[end]) && text[end] != '$') {
    ++end;
  }
  if (end >= text.size() || text[end] != '$') {
    return at;
  }
  const std::string_view tag = text.substr(at, end + 1 - at);
  const std::size_t close = text.find(tag, end + 1);
  return close == std::string_view::npos ? text.size() : close + tag.size();
}

/// Behind `::character varying(20)` at token `i`, or `i` where no type of text stands there.
std::size_t behind_text_type(const std::vector<SqlToken>& tokens, std::size_t i) {
  if (i + 2 >= tokens.size() || tokens[i].text != ":" || tokens[i + 1].text != ":") {
    return i;
  }
  const auto word = [&](std::size_t at, std::string_view name) { return at < tokens.size() && tokens[at].is(name); };
  std::size_t end = i + 3;
  if (word(i + 2, "character")) {
    end += word(i + 3, "varying") ? 1 : 0;
  } else if (!word(i + 2, "text") && !word(i + 2, "bpchar")) {
    return i;
  }
  if (end + 2 < tokens.size() && tokens[end].text == "(" && tokens[end + 2].text == ")") {
    end += 3;
  }
  return end < tokens.size() && tokens[end].text == "[" ? i : end;
}

}  // namespace

bool SqlToken::is(std::string_view name) const {
  if (kind == Kind::quoted) {
    return text == quote_identifier(name);
  }
  // The server folds letters of bare names; a name with capitals can only be meant in quotes.
  return kind == Kind::word && same_word(text, name) &&
         std::ranges::none_of(name, [](unsigned char c) { return std::isupper(c) != 0; });
}

std::vector<SqlToken> sql_tokens(std::string_view text) {
  std::vector<SqlToken> tokens;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    SqlToken::Kind kind = SqlToken::Kind::other;
    if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      ++at;
      continue;
    }
    if (const std::size_t behind = behind_comment(text, at); behind > at) {
      at = behind;
      continue;
    }
    if (text[at] == '\'' || text[at] == '"') {
      const bool escapes = text[at] == '\'' && !tokens.empty() && tokens.back().begin + 1 == at &&
                           (tokens.back().text == "E" || tokens.back().text == "e");
      end = behind_quotes(text, at, escapes);
      kind = text[at] == '"' ? SqlToken::Kind::quoted : SqlToken::Kind::literal;
    } else if (text[at] == '$' && behind_dollars(text, at) > at) {
      end = behind_dollars(text, at);
      kind = SqlToken::Kind::literal;
    } else if (begins_word(text[at])) {
      while (end < text.size() && in_word(text[end])) {
        ++end;
      }
      kind = SqlToken::Kind::word;
    } else if (std::isdigit(static_cast<unsigned char>(text[at])) != 0) {
      const auto digit = [&](std::size_t i) {
        return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
      };
      while (end < text.size() && (in_word(text[end]) || (text[end] == '.' && digit(end + 1)))) {
        ++end;
      }
    }
    tokens.push_back({kind, text.substr(at, end - at), at});
    at = end;
  }
  return tokens;
}

std::string without_literal_types(const std::string& text) {
  const std::vector<SqlToken> tokens = sql_tokens(text);
  std::string out;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::size_t behind = tokens[i].kind == SqlToken::Kind::literal ? behind_text_type(tokens, i + 1) : i + 1;
    if (behind > i + 1) {
      out.append(text, copied, tokens[i + 1].begin - copied);
      copied = behind < tokens.size() ? tokens[behind].begin : text.size();
      out += copied < text.size() && std::isspace(static_cast<unsigned char>(text[copied - 1])) != 0 ? " " : "";
      i = behind - 1;
    }
  }
  return out.append(text, copied);
}

std::string with_column_as(const std::string& text, const std::string& column, const std::string& replacement) {
  const std::vector<SqlToken> tokens = sql_tokens(text);
  std::string out;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool named = i > 0 && (tokens[i - 1].text == "." || tokens[i - 1].text == ":");  // a type, a part of a name
    const bool called = i + 1 < tokens.size() && (tokens[i + 1].text == "(" || tokens[i + 1].text == ".");
    if (tokens[i].is(column) && !named && !(called && tokens[i].kind == SqlToken::Kind::word)) {
      out.append(text, copied, tokens[i].begin - copied).append(replacement);
      copied = tokens[i].begin + tokens[i].text.size();
    }
  }
  return out.append(text, copied);
}

std::string with_tablespace(const std::string& definition, const std::string& tablespace) {
  if (tablespace.empty()) {
    return definition;
  }
  const std::string clause = "tablespace " + quote_identifier(tablespace);
  int depth = 0;
  for (const SqlToken& token : sql_tokens(definition)) {
    depth += token.text == "(" ? 1 : token.text == ")" ? -1 : 0;
    if (depth == 0 && token.is("where")) {
      return definition.substr(0, token.begin) + clause + " " + definition.substr(token.begin);
    }
  }
  return definition + " " + clause;
}

}  // namespace ecmigrate
