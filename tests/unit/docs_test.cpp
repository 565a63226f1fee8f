#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/op/kind.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "support/catch.hpp"
#include "support/program.hpp"

using namespace ecmigrate;

namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The page's text from a marker line to its end, or to the next line that begins with "<!-- end".
struct Section {
  std::string before;
  std::string text;
  std::string after;
};

Section section_of(const std::string& page, const std::string& name) {
  const std::string begin = fmt::format("<!-- made by tests/unit/docs_test.cpp: {} -->\n", name);
  const std::string end = "<!-- end -->";
  const std::size_t from = page.find(begin);
  REQUIRE(from != std::string::npos);
  const std::size_t text = from + begin.size();
  const std::size_t to = page.find(end, text);
  REQUIRE(to != std::string::npos);
  return {page.substr(0, text), page.substr(text, to - text), page.substr(to)};
}

/// Holds a made section of a page against what it should be; with ECMIGRATE_UPDATE_DOCS=1 writes it there instead.
void check_section(const std::string& file, const std::string& name, const std::string& expected) {
  const std::string path = std::string(ECMIGRATE_SOURCE_DIR "/docs/") + file;
  const Section section = section_of(read(path), name);
  if (std::getenv("ECMIGRATE_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << section.before << expected << section.after;
    return;
  }
  INFO("ECMIGRATE_UPDATE_DOCS=1 build/tests/unit_tests \"docs/*\" brings the pages up to date");
  CHECK(section.text == expected);
}

std::string type_words(const Field& field) {
  switch (field.type) {
    case FieldType::text:
      return "text";
    case FieldType::text_or_null:
      return "text or null";
    case FieldType::boolean:
      return "true or false";
    case FieldType::integer:
      return "whole number";
    case FieldType::duration:
      return "duration";
    case FieldType::sql:
      return "SQL";
    case FieldType::sql_per_column:
      return "SQL per column";
    case FieldType::sql_or_per_column:
      return "SQL, or SQL per column";
    case FieldType::object:
      return "map";
    case FieldType::object_list:
      return "list of maps";
    case FieldType::text_list:
      return "list of texts";
    case FieldType::text_map:
      return "map of texts";
  }
  return {};
}

void add_rows(std::string& text, const std::vector<Field>& fields, const std::string& prefix) {
  for (const Field& field : fields) {
    std::string words;
    for (const std::string_view word : field.one_of) {
      words += fmt::format("{}`{}`", words.empty() ? " One of " : ", ", word);
    }
    const std::string name = prefix + std::string(field.name);
    text += fmt::format("| `{}` | {}{} | {}{} |\n", name, type_words(field), field.required ? ", required" : "",
                        field.doc, words.empty() ? "" : words + ".");
    add_rows(text, field.fields, name + (field.type == FieldType::object_list ? "[]." : "."));
  }
}

std::string kinds_reference() {
  std::string text;
  for (const OperationKind* kind : operation_kinds()) {
    if (kind->name.starts_with("test_")) {
      continue;  // other tests register kinds of their own
    }
    text += fmt::format("\n## {}\n\n{}\n\n```yaml\n- ", kind->name, kind->summary);
    for (std::string line; const char c : kind->example) {
      line += c;
      if (c == '\n') {
        text += (text.ends_with("- ") ? "" : "  ") + line;
        line.clear();
      }
    }
    text += "```\n\n| field | type | meaning |\n|---|---|---|\n";
    add_rows(text, kind->fields, "");
  }
  return text + "\n";
}

std::string top_reference() {
  const auto schema = nlohmann::ordered_json::parse(plan_json_schema());
  std::string text = "| key | meaning |\n|---|---|\n";
  for (const auto& [key, value] : schema["properties"].items()) {
    text += fmt::format("| `{}` | {} |\n", key, value["description"].get<std::string>());
    const auto inner_keys = value.value("properties", nlohmann::ordered_json::object());
    for (const auto& [inner, field] : inner_keys.items()) {
      text += fmt::format("| `{}.{}` | {} |\n", key, inner, field["description"].get<std::string>());
    }
  }
  return text;
}

std::string exit_code_reference() {
  std::string text = "| exit status | in JSON | meaning | run again? |\n|---|---|---|---|\n";
  for (const OutcomeRow& row : k_outcomes) {
    text += fmt::format("| {} | `{}` | {} | {} |\n", row.exit_code, row.name, row.meaning, row.retryable ? "yes" : "");
  }
  return text;
}

std::string help(const std::string& arguments) {
  const std::string text = test::output_of(std::string(ECMIGRATE_PROGRAM) + " " + arguments + " --help");
  return text.substr(0, text.find("Example:"));
}

std::set<std::string> flags_in(const std::string& text) {
  static const std::regex flag("--[a-z][a-z-]+");
  std::set<std::string> flags;
  for (std::sregex_iterator at(text.begin(), text.end(), flag); at != std::sregex_iterator(); ++at) {
    flags.insert(at->str());
  }
  return flags;
}

std::vector<std::smatch> all_of(const std::string& text, const std::regex& pattern) {
  return {std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()};
}

/// A heading's place in a link, as GitHub makes it.
std::string anchor(const std::string& heading) {
  std::string text;
  for (const char c : heading) {
    if (c == ' ') {
      text += '-';
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_') {
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return text;
}

/// Whether a source file has a case of this name, which stands between quotes; long ones go over two lines.
bool has_case(const std::string& source, const std::string& name) {
  static const std::regex begin("TEST_CASE\\(\\s*");
  static const std::regex seam("\"\\s*\n\\s*\"");
  const std::string joined = std::regex_replace(std::regex_replace(source, begin, "TEST_CASE("), seam, "");
  return joined.find("TEST_CASE(" + name) != std::string::npos;
}

bool has_heading(const std::string& page, const std::string& place) {
  static const std::regex heading("(?:^|\n)#+ ([^\n]+)");
  const std::vector<std::smatch> headings = all_of(page, heading);
  return std::ranges::any_of(headings, [&](const std::smatch& one) { return anchor(one[1]) == place; });
}

}  // namespace

TEST_CASE("docs/plans.md is what the field tables say") {
  check_section("plans.md", "keys at the top", top_reference());
  check_section("plans.md", "kinds", kinds_reference());
}

TEST_CASE("docs/commands.md has the exit codes of the program") {
  check_section("commands.md", "exit codes", exit_code_reference());
}

TEST_CASE("docs/commands.md names every command and flag, and no other") {
  const std::string page = read(ECMIGRATE_SOURCE_DIR "/docs/commands.md");
  const std::string top = help("");
  std::set<std::string> flags = flags_in(top);
  static const std::regex subcommand("\n  ([a-z]+) {2,}");
  const std::string list = top.substr(top.find("Subcommands:"));
  int commands = 0;
  for (std::sregex_iterator at(list.begin(), list.end(), subcommand); at != std::sregex_iterator(); ++at, ++commands) {
    const std::string command = (*at)[1];
    INFO(command);
    CHECK(page.find("`" + command) != std::string::npos);
    flags.merge(flags_in(help(command)));
  }
  CHECK(commands > 5);
  CHECK(flags_in(page) == flags);
}

TEST_CASE("links between the pages lead somewhere") {
  std::vector<std::filesystem::path> pages{"README.md", "CONTRIBUTING.md"};
  for (const auto& entry : std::filesystem::directory_iterator(ECMIGRATE_SOURCE_DIR "/docs")) {
    if (entry.path().extension() == ".md") {
      pages.push_back("docs" / entry.path().filename());
    }
  }
  static const std::regex link("\\]\\(([^)#]*)(?:#([^)]+))?\\)");
  for (const std::filesystem::path& page : pages) {
    const std::string text = read((ECMIGRATE_SOURCE_DIR / page).string());
    for (const std::smatch& found : all_of(text, link)) {
      if (found[1].str().find("://") != std::string::npos) {
        continue;
      }
      INFO(page << ": " << found[0]);
      const std::filesystem::path target =
          ECMIGRATE_SOURCE_DIR / (found[1].length() == 0 ? page : page.parent_path() / found[1].str());
      CHECK(std::filesystem::exists(target));
      CHECK((!found[2].matched || has_heading(read(target.string()), found[2])));
    }
  }
}

TEST_CASE("docs/complaints.md answers each complaint with a test that exists, or a page") {
  const std::string page = read(ECMIGRATE_SOURCE_DIR "/docs/complaints.md");
  static const std::regex row("\n\\| ([0-9]+) \\|[^\n]*\\|([^|\n]*)\\|(?=\n)");
  const std::vector<std::smatch> rows = all_of(page, row);
  REQUIRE(rows.size() == 24);
  static const std::regex file("`(tests/[^`]+)`((?:,? \"[^\"]+\")*)");
  static const std::regex name("\"[^\"]+\"");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string shown = rows[i][2];
    INFO(rows[i][1] << ": " << shown);
    CHECK(rows[i][1] == std::to_string(i + 1));
    CHECK((shown.find("`tests/") != std::string::npos || shown.find("](") != std::string::npos));
    std::size_t names = 0;
    for (const std::smatch& found : all_of(shown, file)) {
      const std::string source = read(ECMIGRATE_SOURCE_DIR "/" + found[1].str());
      CHECK_FALSE(source.empty());
      const std::string list = found[2];
      for (const std::smatch& one : all_of(list, name)) {
        INFO(one[0]);
        CHECK(has_case(source, one[0]));
        ++names;
      }
    }
    CHECK(names == all_of(shown, name).size());
  }
}

TEST_CASE("docs/operators.md names metrics that docs/page.md has") {
  const std::string page = read(ECMIGRATE_SOURCE_DIR "/docs/page.md");
  const std::string operators = read(ECMIGRATE_SOURCE_DIR "/docs/operators.md");
  static const std::regex metric("\\becmigrate_[a-z_]+\\b");
  const std::vector<std::smatch> metrics = all_of(operators, metric);
  CHECK(metrics.size() > 5);
  for (const std::smatch& one : metrics) {
    CHECK_THAT(page,
               Catch::Matchers::Contains("`" + one.str() + "`") || Catch::Matchers::Contains("`" + one.str() + "{"));
  }
}
