#pragma once

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ecmigrate::report {

/// The text as it may go to a terminal: without control characters, which values and queries of other people could
/// carry into it, and in a locale without UTF-8 with ASCII in place of our own typography. Newlines and tabs stay.
inline std::string printable(std::string_view text, bool utf8) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> k_stand_ins{
      {{"→", "->"}, {"·", "|"}, {"⏎", "\\n"}, {"…", "..."}}};
  std::string result;
  while (!text.empty()) {
    const auto stand_in = std::find_if(k_stand_ins.begin(), k_stand_ins.end(),
                                       [&](const auto& pair) { return !utf8 && text.starts_with(pair.first); });
    if (stand_in != k_stand_ins.end()) {
      result += stand_in->second;
      text.remove_prefix(stand_in->first.size());
      continue;
    }
    const auto byte = static_cast<unsigned char>(text[0]);
    const auto next = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
    // U+0080 to U+009F: some terminals take U+009B for the start of an escape sequence.
    const bool second_set = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    const bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F || second_set;
    result += control ? '?' : text[0];
    text.remove_prefix(second_set ? 2 : 1);
  }
  return result;
}

/// As much of the text as fits into that many columns of a terminal.
inline std::string_view fit(std::string_view text, std::size_t columns) {
  std::mbstate_t state{};
  std::size_t used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    wchar_t character{};
    std::size_t bytes = std::mbrtowc(&character, text.data() + at, text.size() - at, &state);
    int width = 1;
    if (bytes == 0 || bytes > text.size() - at) {  // no character of this locale: -1 or -2
      state = {};
      bytes = 1;
    } else {
      width = std::max(0, wcwidth(character));
    }
    used += static_cast<std::size_t>(width);
    if (used > columns) {
      return text.substr(0, at);
    }
    at += bytes;
  }
  return text;
}

/// A line in lines of so many columns, broken where its parts are set off from each other (by three blanks, or a dot in
/// the middle) and in none of them. For lines that are ours: in a value the two would be part of it.
inline std::string folded(std::string_view line, std::size_t columns) {
  constexpr std::string_view k_blanks = "   ";
  constexpr std::string_view k_dot = " · ";
  constexpr std::string_view k_indentation = "      ";
  std::string text;
  std::string last;
  std::size_t part = std::min(line.find_first_not_of(' '), line.size());
  for (std::size_t begin = 0; begin < line.size();) {
    const std::size_t end = std::min({line.find(k_blanks, part), line.find(k_dot, part), line.size()});
    const std::string longer = last + std::string(line.substr(begin, end - begin));
    const bool fits = last.empty() || fit(longer, columns).size() == longer.size();
    if (!fits) {
      text += last + "\n";
    }
    last = fits ? longer : std::string(k_indentation) + std::string(line.substr(part, end - part));
    begin = end;
    part = line.substr(end).starts_with(k_dot) ? end + k_dot.size()
                                               : std::min(line.find_first_not_of(' ', end), line.size());
  }
  return text + last;
}

/// Where the text for people goes: results to `out`, everything else to `err`, and on a terminal one line of `err`
/// that is painted over. Failing writes are ignored, a migration does not end because nobody reads along.
class Screen {
 public:
  enum class Label { error, warning };

  Screen(std::FILE* out, std::FILE* err)
      : m_out(out), m_err(err), m_utf8(std::string_view(nl_langinfo(CODESET)) == "UTF-8") {
    const std::string_view terminal = environment("TERM");
    m_repaints = isatty(fileno(err)) == 1 && !terminal.empty() && terminal != "dumb";
    m_colours = m_repaints && environment("NO_COLOR").empty();
    m_folds = isatty(fileno(out)) == 1 && m_repaints;
  }
  ~Screen() { clear(); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  /// Whether paint() may be used.
  [[nodiscard]] bool repaints() const { return m_repaints; }

  void print(std::string_view text) { write(m_out, {}, text); }
  /// A line of ours: on a terminal in lines that fit; a file or a pipe gets it as it is.
  void print_folded(std::string_view line) { print(m_folds ? folded(line, columns()) : std::string(line)); }
  void tell(std::string_view text) { write(m_err, {}, text); }

  void tell(Label label, std::string_view text) {
    const bool error = label == Label::error;
    const std::string word = error ? "error:" : "warning:";
    const std::string colour = error ? "\x1b[31m" : "\x1b[33m";
    write(m_err, m_colours ? colour + word + "\x1b[0m " : word + " ", text);
  }

  /// The first field, as far as it fits, and each of the others that fits whole.
  void paint(const std::vector<std::string>& fields) {
    // The last column stays free: with the cursor behind it, clearing to the end would take its character away.
    const std::size_t width = columns() - 1;
    std::string line;
    for (const std::string& field : fields) {
      const std::string longer = line + (line.empty() ? "" : "  ") + printable(field, m_utf8);
      if (line.empty()) {
        line = fit(longer, width);
      } else if (fit(longer, width).size() == longer.size()) {
        line = longer;
      }
    }
    put(m_err, "\r" + line + "\x1b[K");
    m_painted = true;
  }

  void clear() {
    if (m_painted) {
      put(m_err, "\r\x1b[K");
      m_painted = false;
    }
  }

 private:
  static std::string_view environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string_view() : value;
  }

  // Asked for every line: the window may have been resized.
  [[nodiscard]] std::size_t columns() const {
    winsize size{};
    if (ioctl(fileno(m_err), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      return size.ws_col;
    }
    const std::size_t told = std::strtoul(std::string(environment("COLUMNS")).c_str(), nullptr, 10);
    return told > 0 ? told : 80;
  }

  void write(std::FILE* file, std::string_view label, std::string_view text) {
    clear();
    std::string line = std::string(label) + printable(text, m_utf8);
    if (!line.ends_with('\n')) {
      line += '\n';
    }
    put(file, line);
  }

  static void put(std::FILE* file, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), file);
    std::fflush(file);
  }

  std::FILE* m_out;
  std::FILE* m_err;
  bool m_utf8;
  bool m_repaints = false;
  bool m_folds = false;
  bool m_colours = false;
  bool m_painted = false;
};

}  // namespace ecmigrate::report
