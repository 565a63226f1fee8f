#include "ecmigrate/planfile/planfile.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/op/kind.hpp"
#include "support/catch.hpp"

using namespace ecmigrate;

namespace {

void contribute_nothing(const PlannedOperation&, const Plan&, const Catalog&, Draft&) {}

/// A kind with a field of every type. Registered by the tests that need it, not before main, so that other tests see
/// the real kinds only.
void register_gadget() {
  static const OperationKind gadget{
      .name = "test_gadget",
      .summary = "Stands for every kind.",
      .example = "",
      .fields = {{.name = "table", .type = FieldType::text, .required = true, .doc = "The table."},
                 {.name = "action", .type = FieldType::text, .doc = "What happens.", .one_of = {"CASCADE", "RESTRICT"}},
                 {.name = "default", .type = FieldType::text_or_null, .doc = "The default."},
                 {.name = "unique", .type = FieldType::boolean, .doc = "Unique or not."},
                 {.name = "limit", .type = FieldType::integer, .doc = "How many."},
                 {.name = "pause", .type = FieldType::duration, .doc = "How long."},
                 {.name = "check", .type = FieldType::sql, .doc = "A condition."},
                 {.name = "up", .type = FieldType::sql_per_column, .doc = "Per column."},
                 {.name = "down", .type = FieldType::sql_or_per_column, .doc = "One or per column."},
                 {.name = "references",
                  .type = FieldType::object,
                  .doc = "The other table.",
                  .fields = {{.name = "table", .type = FieldType::text, .required = true, .doc = "Its name."}}},
                 {.name = "into",
                  .type = FieldType::object_list,
                  .doc = "New columns.",
                  .fields = {{.name = "name", .type = FieldType::text, .required = true, .doc = "Its name."},
                             {.name = "nullable", .type = FieldType::boolean, .doc = "May be null."}}},
                 {.name = "columns", .type = FieldType::text_list, .doc = "Some columns."},
                 {.name = "settings", .type = FieldType::text_map, .doc = "Some settings."}},
      .contribute = contribute_nothing};
  static const KindRegistration registration{gadget};
}

Plan parse(std::string_view text, const std::string& file = "plans/x.yaml") {
  register_gadget();
  return parse_plan(text, file);
}

/// A plan with one gadget; `field` is one more line (or several) of it, indented by six.
std::string gadget(std::string_view field) {
  return "operations:\n  - test_gadget:\n      table: t\n      " + std::string(field) + "\n";
}

Value field_of(std::string_view line, std::string_view name) {
  const Plan plan = parse(gadget(line));
  const Value* value = plan.operations.at(0).fields.find(name);
  REQUIRE(value != nullptr);
  return *value;
}

std::string complaints(std::string_view text, const std::string& file = "plans/x.yaml") {
  try {
    parse(text, file);
  } catch (const Error& error) {
    CHECK(error.outcome() == Outcome::plan_invalid);
    return error.what();
  }
  return "no complaint";
}

/// Catch's own matcher for this has another name in each of its versions.
void check_contains(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    INFO("looking for: " << part << "\nin: " << text.substr(0, 2000));
    CHECK(text.find(part) != std::string::npos);
  }
}

/// The one complaint about a line of a gadget as "4:13: message" or "4:13: message | hint".
std::string complaint(std::string_view line) {
  const std::string all = complaints(gadget(line));
  const std::size_t place = std::string_view("plans/x.yaml:").size();
  const std::size_t end = all.find('\n');
  std::string out = all.substr(place, end - place);
  if (const std::size_t hint = all.find("\nhint: "); hint != std::string::npos) {
    out += " | " + all.substr(hint + 7);
  }
  return out;
}

}  // namespace

TEST_CASE("a plan is read with its defaults") {
  const Plan plan = parse(gadget("limit: 3"));
  CHECK(plan.name == "x");
  CHECK(plan.description.empty());
  CHECK(plan.schema == "public");
  CHECK(plan.file == "plans/x.yaml");
  CHECK(plan.deterministic);
  CHECK(plan.backfill.target_batch == std::chrono::milliseconds(50));
  REQUIRE(plan.operations.size() == 1);
  CHECK(plan.operations[0].kind == "test_gadget");
  CHECK(plan.operations[0].at.line == 2);
  CHECK(plan.operations[0].at.column == 5);
  CHECK(plan.operations[0].fields.text("table") == "t");
  CHECK(plan.operations[0].fields.find("limit")->at.line == 4);
  CHECK(plan.operations[0].fields.find("limit")->at.column == 14);
}

TEST_CASE("the keys at the top of a plan") {
  const Plan plan = parse(
      "name: a name\ndescription: why\nschema: Customer Data\nversion_schema: ignored\ndeterministic: off\n"
      "backfill: {target_batch: 1m30s}\noperations: [{test_gadget: {table: t}}]\n");
  CHECK(plan.name == "a name");
  CHECK(plan.description == "why");
  CHECK(plan.schema == "Customer Data");
  CHECK_FALSE(plan.deterministic);
  CHECK(plan.backfill.target_batch == std::chrono::milliseconds(90'000));
}

TEST_CASE("a JSON file, also on one line and indented by tabs, is a plan") {
  const std::string line =
      R"({"name":"j","operations":[{"test_gadget":{"table":"a\/b","unique":true,"default":null}}]})";
  const std::string tabs =
      "{\n\t\"name\": \"j\",\n\t\"operations\": [\n\t\t{\"test_gadget\": {\n\t\t\t\"table\": \"a/b\",\n"
      "\t\t\t\"unique\": true, \"default\": null}}\n\t]\n}\n";
  CHECK(parse(line).name == "j");
  CHECK(parse(line).operations[0].fields.text("table") == "a/b");
  CHECK(parse(tabs).canonical == parse(line).canonical);
}

TEST_CASE("a byte order mark and CRLF line ends change nothing") {
  const Plan unix_plan = parse("operations:\n  - test_gadget:\n      table: t\n      check: |\n        a\n        b\n");
  const Plan dos_plan = parse(
      "\xEF\xBB\xBFoperations:\r\n  - test_gadget:\r\n      table: t\r\n      check: |\r\n        a\r\n        b\r\n");
  CHECK(dos_plan.canonical == unix_plan.canonical);
  CHECK(dos_plan.operations[0].at.column == 5);
}

TEST_CASE("text fields take any scalar as it is written") {
  CHECK(field_of("default: 0", "default").scalar == "0");
  CHECK(field_of("default: 012", "default").scalar == "012");
  CHECK(field_of("default: True", "default").scalar == "True");
  CHECK(field_of("default: 'null'", "default").scalar == "null");
  CHECK(field_of("default: ''", "default").kind == Value::Kind::scalar);
  CHECK(field_of("check: 1.50", "check").scalar == "1.50");
}

TEST_CASE("null is allowed for text_or_null only") {
  for (const char* null : {"null", "~", "", "NULL"}) {
    CHECK(field_of("default: " + std::string(null), "default").kind == Value::Kind::null);
  }
  CHECK(complaint("check: ~") == "4:14: test_gadget.check: expected a string, found nothing");
  CHECK(complaint("check:") == "4:7: test_gadget.check: expected a string, found nothing");
  CHECK(complaint("check:\n      limit: 1") == "4:7: test_gadget.check: expected a string, found nothing");
  CHECK(complaint("limit:") == "4:7: test_gadget.limit: expected a whole number, found nothing");
  CHECK(complaint("into: null") == "4:13: test_gadget.into: expected a list, found nothing");
  CHECK(complaint("columns:\n        -\n        - a") == "5:9: test_gadget.columns: expected a string, found nothing");
}

TEST_CASE("booleans are normalised") {
  for (const char* word : {"true", "True", "TRUE", "yes", "Yes", "on", "ON"}) {
    CHECK(field_of("unique: " + std::string(word), "unique").scalar == "true");
  }
  for (const char* word : {"false", "False", "no", "NO", "off", "Off"}) {
    CHECK(field_of("unique: " + std::string(word), "unique").scalar == "false");
  }
  CHECK(complaint("unique: \"true\"") ==
        "4:15: test_gadget.unique: expected true or false, found a string | Write true without quotes.");
  CHECK(complaint("unique: 1") == "4:15: test_gadget.unique: expected true or false, found a number");
  CHECK(complaint("unique: tRue") == "4:15: test_gadget.unique: expected true or false, found a string");
}

TEST_CASE("integers are decimal") {
  CHECK(field_of("limit: 0", "limit").scalar == "0");
  CHECK(field_of("limit: -12", "limit").scalar == "-12");
  CHECK(complaint("limit: 012") ==
        "4:14: test_gadget.limit: \"012\" could be octal, because it starts with 0 | Write 12 if the decimal number is "
        "meant.");
  CHECK(complaint("limit: 0x10") == "4:14: test_gadget.limit: \"0x10\" is not a whole number");
  CHECK(complaint("limit: 1.5") == "4:14: test_gadget.limit: \"1.5\" is not a whole number");
  CHECK(complaint("limit: '5'") ==
        "4:14: test_gadget.limit: expected a whole number, found a string | Write it without quotes.");
  CHECK(complaint("limit: 9223372036854775808") ==
        "4:14: test_gadget.limit: \"9223372036854775808\" does not fit into 64 bits");
}

TEST_CASE("windows of the backfill are a list, each with its place") {
  const Plan plan = parse(
      "name: n\nbackfill:\n  windows: [\"22:00-06:00 Europe/Berlin\", \"Sat,Sun 00:00-24:00\"]\noperations: "
      "[{test_gadget: {table: t}}]\n");
  REQUIRE(plan.backfill.windows.size() == 2);
  CHECK(plan.backfill.windows[0].zone == "Europe/Berlin");
  CHECK(plan.backfill.windows[1].days == 0b1100000);
  check_contains(
      complaints("operations: [{test_gadget: {table: t}}]\nbackfill:\n  windows:\n    - 22:00-06:00\n    - at night"),
      {"5:7: backfill.windows: \"at night\" is not a window; write 22:00-06:00 Europe/Berlin, or Sat,Sun 00:00-24:00"});
  check_contains(complaints("operations: [{test_gadget: {table: t}}]\nbackfill: {windows: 22:00-06:00}"),
                 {"expected a list"});
}

TEST_CASE("durations need a unit") {
  CHECK(field_of("pause: 1h30m", "pause").scalar == "1h30m");
  CHECK(complaint("pause: 50") == "4:14: test_gadget.pause: \"50\" has no unit | Write 50ms, 50s, 50m or 50h.");
  CHECK(complaint("pause: 5 sec") ==
        "4:14: test_gadget.pause: \"5 sec\" is not a duration | Write a duration such as 50ms, 2s or 1m; the units are "
        "ms, s, m and h.");
  check_contains(complaint("pause: 999999999999h999999999999h999999999999h"), {"is not a duration"});
  check_contains(complaints("operations: [{test_gadget: {table: t}}]\nbackfill: {target_batch: 0ms}"),
                 {"2:26: backfill.target_batch: \"0ms\" is not a duration above 0; write 50ms, 2s or 1m"});
}

TEST_CASE("words of a closed set") {
  CHECK(field_of("action: CASCADE", "action").scalar == "CASCADE");
  CHECK(complaint("action: CASCAD") ==
        "4:15: test_gadget.action: \"CASCAD\" is not one of CASCADE, RESTRICT | did you mean \"CASCADE\"?");
  CHECK(complaint("action: nothing") == "4:15: test_gadget.action: \"nothing\" is not one of CASCADE, RESTRICT");
}

TEST_CASE("SQL is trimmed, alone and per column") {
  CHECK(field_of("check: |\n        a > 0\n\n", "check").scalar == "a > 0");
  CHECK(field_of("up: {a: ' x '}", "up").text("a") == "x");
  CHECK(field_of("down: ' y '", "down").scalar == "y");
  CHECK(field_of("down: {a: ' y'}", "down").text("a") == "y");
  CHECK(parse(gadget("check: ' a '")).canonical == parse(gadget("check: a")).canonical);
  CHECK(complaint("check: '  '") == "4:14: test_gadget.check: must not be empty");
  CHECK(complaint("up: a") == "4:11: test_gadget.up: expected a map, found a string");
  CHECK(complaint("up: {}") == "4:11: test_gadget.up: the map is empty");
  CHECK(complaint("up: {a: [1]}") ==
        "4:15: test_gadget.up.a: expected a string, found a list | Put it in quotes if it is meant as text.");
  CHECK(complaint("down: [a]") ==
        "4:13: test_gadget.down: expected a string, found a list | Put it in quotes if it is meant as text.");
}

TEST_CASE("lists of objects take scalars for the first field") {
  const Value into = field_of("into:\n        - a\n        - {name: b, nullable: no}", "into");
  REQUIRE(into.items.size() == 2);
  CHECK(into.items[0].kind == Value::Kind::map);
  CHECK(into.items[0].text("name") == "a");
  CHECK(into.items[0].at.line == 5);
  CHECK_FALSE(into.items[1].flag("nullable", true));
  CHECK(complaint("into: {name: a}") ==
        "4:13: test_gadget.into: expected a list, found a map | Start each item of a list with \"- \".");
  CHECK(complaint("into: a") ==
        "4:13: test_gadget.into: expected a list, found a string | Start each item of a list with \"- \".");
  CHECK(complaint("into: []") == "4:13: test_gadget.into: the list is empty");
  CHECK(complaint("into: [[a]]") == "4:14: test_gadget.into: expected a map, found a list");
  CHECK(complaint("into: [{nullable: no}]") == "4:14: missing key \"name\" in test_gadget.into");
  CHECK(complaint("into: ['']") == "4:14: test_gadget.into.name: must not be empty");
}

TEST_CASE("lists and maps of text") {
  CHECK(field_of("columns: [a, 1]", "columns").items.at(1).scalar == "1");
  CHECK(field_of("settings: {fillfactor: 90}", "settings").text("fillfactor") == "90");
  CHECK(complaint("columns: a") ==
        "4:16: test_gadget.columns: expected a list, found a string | Start each item of a list with \"- \".");
  CHECK(complaint("columns: []") == "4:16: test_gadget.columns: the list is empty");
  CHECK(complaint("references: {tabl: a}") ==
        "4:20: unknown key \"tabl\" in test_gadget.references | did you mean \"table\"?");
}

TEST_CASE("every complaint of a file is reported, in its order") {
  CHECK(complaints("operatons: []\n"
                   "operations:\n"
                   "  - test_gadget:\n"
                   "      colour: red\n"
                   "      uniqe: true\n"
                   "      into: some\n"
                   "deterministic: maybe\n") ==
        "plans/x.yaml:1:1: unknown key \"operatons\" in the plan\n"
        "    1 | operatons: []\n"
        "      | ^\n"
        "hint: did you mean \"operations\"?\n"
        "plans/x.yaml:4:7: unknown key \"colour\" in test_gadget\n"
        "    4 |       colour: red\n"
        "      |       ^\n"
        "hint: The keys of test_gadget are table, action, default, unique, limit, pause, check, up, down, references, "
        "into, columns, settings.\n"
        "plans/x.yaml:4:7: missing key \"table\" in test_gadget\n"
        "    4 |       colour: red\n"
        "      |       ^\n"
        "plans/x.yaml:5:7: unknown key \"uniqe\" in test_gadget\n"
        "    5 |       uniqe: true\n"
        "      |       ^\n"
        "hint: did you mean \"unique\"?\n"
        "plans/x.yaml:6:13: test_gadget.into: expected a list, found a string\n"
        "    6 |       into: some\n"
        "      |             ^\n"
        "hint: Start each item of a list with \"- \".\n"
        "plans/x.yaml:7:16: deterministic: expected true or false, found a string\n"
        "    7 | deterministic: maybe\n"
        "      |                ^");
}

TEST_CASE("a misspelt required key is reported once") {
  CHECK(complaints("operations:\n  - test_gadget:\n      tablee: t\n") ==
        "plans/x.yaml:3:7: unknown key \"tablee\" in test_gadget\n"
        "    3 |       tablee: t\n"
        "      |       ^\n"
        "hint: did you mean \"table\"?");
}

TEST_CASE("operations must be a list of maps with one kind each") {
  check_contains(complaints("name: x\n"), {"x.yaml:1:1: missing key \"operations\" in the plan"});
  check_contains(complaints("operations: []\n"), {"1:13: operations: the list is empty"});
  check_contains(complaints("operations: {test_gadget: {}}\n"), {"operations: expected a list, found a map"});
  check_contains(complaints("operations: [test_gadget]\n"), {"1:14: operations: expected a map, found a string"});
  check_contains(complaints("operations: [{}]\n"), {"1:14: an operation has one key, its kind; this one has none"});
  check_contains(complaints("operations:\n  - test_gadet: {table: t}\n"),
                 {"2:5: unknown operation \"test_gadet\"", "hint: did you mean \"test_gadget\"?"});
  check_contains(complaints("operations:\n  - quux: {table: t}\n"),
                 {"unknown operation \"quux\"", "hint: The kinds are ", "test_gadget"});
  check_contains(complaints("operations:\n  - test_gadget:\n"), {"2:5: test_gadget: expected a map, found nothing"});
  CHECK(complaints("operations:\n  - test_gadget:\n    table: t\n") ==
        "plans/x.yaml:3:5: an operation has one key, its kind; this one has 2\n"
        "    3 |     table: t\n"
        "      |     ^\n"
        "hint: Indent \"table\" further than \"test_gadget\".");
}

TEST_CASE("duplicate keys are found at every level") {
  CHECK(complaints("name: a\noperations: [{test_gadget: {table: t}}]\nname: b\n") ==
        "plans/x.yaml:3:1: duplicate key \"name\", first on line 1\n"
        "    3 | name: b\n"
        "      | ^\n"
        "hint: Remove one of the two.");
  check_contains(complaint("table: u"), {"4:7: duplicate key \"table\", first on line 3"});
  check_contains(complaint("up: {a: x, a: x}"), {"4:18: duplicate key \"a\", first on line 4"});
  check_contains(complaint("into: [{name: a, \"name\": b}]"), {"4:24: duplicate key \"name\""});
  check_contains(complaints("operations:\n  - test_gadget: {table: t}\n    test_gadget: {table: u}\n"),
                 {"3:5: duplicate key \"test_gadget\", first on line 2"});
}

TEST_CASE("keys are non-empty strings") {
  CHECK(complaint("up: {'': x}") == "4:12: a key is empty");
  check_contains(complaint("up: {~: x}"), {"4:12: a key must be a string"});
  check_contains(complaint("up: {[a]: x}"), {"4:12: a key must be a string"});
  check_contains(complaint("<<: {limit: 1}"), {"4:7: unknown key \"<<\" in test_gadget"});
}

TEST_CASE("empty names and NUL bytes") {
  CHECK(complaint("references: {table: ''}") == "4:27: test_gadget.references.table: must not be empty");
  check_contains(complaint("default: \"a\\0\""), {"PostgreSQL stores no NUL bytes"});
  check_contains(complaint("check: \"a\\0\""), {"PostgreSQL stores no NUL bytes"});
  check_contains(complaint("up: {\"a\\0\": x}"), {"a key contains a NUL byte"});
}

TEST_CASE("columns and carets count characters, tabs are one wide") {
  CHECK(complaints("name: Zoë\noperations: [{test_gadget: {\t'table': 'ü', uniqe: no}}]\n") ==
        "plans/x.yaml:2:44: unknown key \"uniqe\" in test_gadget\n"
        "    2 | operations: [{test_gadget: { 'table': 'ü', uniqe: no}}]\n"
        "      |                                            ^\n"
        "hint: did you mean \"unique\"?");
}

TEST_CASE("of a long line only the surroundings are shown") {
  const std::string text = "operations: [{test_gadget: {table: " + std::string(1000, 'x') +
                           ", uniqe: no, check: " + std::string(1000, 'y') + "}}]\n";
  const std::string all = complaints(text);
  check_contains(all, {"x.yaml:1:1038: unknown key \"uniqe\""});
  CHECK(all.size() < 600);
  const std::size_t line = all.find("    1 | ");
  const std::size_t caret_line = all.find("      | ");
  // The ellipsis is three bytes but one column.
  const std::size_t caret_column = all.find('^', caret_line) - caret_line;
  CHECK(all.substr(line + caret_column + 2, 5) == "uniqe");
}

TEST_CASE("what is shown of a file cannot steer the terminal") {
  check_contains(complaint("\"a\\e[31m\": x"), {"unknown key \"a?[31m\""});
  check_contains(complaint("up: {\"a\\eb\": []}"), {"test_gadget.up.a?b: expected"});
}

TEST_CASE("YAML that is none") {
  CHECK(complaints("name: a: b\n") ==
        "plans/x.yaml:1:8: YAML syntax error: illegal map value\n"
        "    1 | name: a: b\n"
        "      |        ^\n"
        "hint: Put a value in quotes if it contains \": \", and check the indentation.");
  CHECK(complaints("operations:\n\t- test_gadget: {}\n") ==
        "plans/x.yaml:2:1: a tab in the indentation\n"
        "    2 |  - test_gadget: {}\n"
        "      | ^\n"
        "hint: Indent with spaces.");
  check_contains(complaints("name:\n\tx\n"), {"2:1: a tab in the indentation"});
  check_contains(complaints("name: 'x\noperations: []\n"), {"1:7: this quote is never closed"});
  check_contains(complaints("name: &a \"x\\\"\n"), {"1:7: this quote is never closed"});
  check_contains(complaints("{\"name\": \"x\""), {"YAML syntax error: "});
  check_contains(complaints("name: @x\n"), {"1:7: YAML syntax error: unknown token", "starts with @"});
  check_contains(complaints("name: !!str x\n"), {"1:7: the tag \"tag:yaml.org,2002:str\" is not allowed in a plan"});
  check_contains(complaints("- a\n"), {"1:1: the plan: expected a map, found a list"});
  check_contains(complaints("just text\n"), {"1:1: the plan: expected a map, found a string"});
}

TEST_CASE("files without a plan, or with two") {
  for (const char* text : {"", "# only this\n", "---\n", "null\n", "\xEF\xBB\xBF"}) {
    CHECK(complaints(text) == "plans/x.yaml: the plan is empty\nhint: Start one with `ecmigrate new NAME`.");
  }
  check_contains(complaints("name: a\n---\nname: b\n"), {"2:1: a second document starts here"});
  CHECK(parse("---\n" + gadget("limit: 1") + "...\n").operations.size() == 1);
}

TEST_CASE("bytes that are no text") {
  check_contains(complaints("name: \"a\\_b\"\n"), {"1:7: the escapes \\_ and \\N are not supported"});
  CHECK(complaints("name: a\ndescription: caf\xE9 x\n") ==
        "plans/x.yaml:2:17: this byte is not valid UTF-8\n"
        "    2 | description: caf? x\n"
        "      |                 ^\n"
        "hint: Save the file as UTF-8.");
  for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80"}) {
    check_contains(complaints(bad), {"1:1: this byte is not valid UTF-8"});
  }
  check_contains(complaints(std::string_view("n\0a\0", 4)), {"1:2: control character U+0000"});
  check_contains(complaints("name: \x1B[31m\n"), {"1:7: control character U+001B"});
  check_contains(complaints("name: a\x04"), {"1:8: control character U+0004"});
  check_contains(complaints("name: a\rschema: b"), {"1:8: control character U+000D"});
}

TEST_CASE("anchors and aliases are written out") {
  const Plan plan =
      parse("operations:\n  - test_gadget: &one {table: t, up: {a: &sql x, b: *sql}}\n  - test_gadget: *one\n");
  REQUIRE(plan.operations.size() == 2);
  CHECK(plan.operations[0].number == 1);
  CHECK(plan.operations[1].number == 2);
  CHECK(plan.operations[1].fields.find("up")->text("b") == "x");
  check_contains(complaints("name: &a [*a]\n"), {"1:11: the alias stands inside what it stands for"});
  check_contains(complaints("name: *a\n"), {"YAML syntax error: "});
  // Wrong behind the anchor, but wrong once.
  const std::string twice = complaints("operations:\n  - test_gadget: &one {table: ''}\n  - test_gadget: *one\n");
  CHECK(twice.find("must not be empty") == twice.rfind("must not be empty"));
}

TEST_CASE("bombs are refused") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  }
  check_contains(complaints(bomb), {"more than 100000 values"});
  std::string chain = "a0: &a0 [x]\n";
  for (int i = 1; i < 100; ++i) {
    chain += fmt::format("a{0}: &a{0} [*a{1}]\n", i, i - 1);
  }
  check_contains(complaints(chain), {"more than 64 levels"});
  check_contains(complaints("a: " + std::string(63, '[') + std::string(63, ']')), {"unknown key \"a\""});
  check_contains(complaints("a: " + std::string(64, '[') + std::string(64, ']')), {"1:67: more than 64 levels"});
  check_contains(complaints(std::string(100'000, '[')), {"more than 64 levels"});
  check_contains(complaints("a: " + std::string(100'000, '{')), {"more than 64 levels"});
  CHECK(complaints(std::string((4U << 20U) + 1, ' ')) ==
        "plans/x.yaml: the file is larger than 4 MiB\nhint: A plan is small; is this the right file?");
  std::string many;
  for (int i = 0; i < 60; ++i) {
    many += fmt::format("key{}: 1\n", i);
  }
  check_contains(complaints(many), {"\nplans/x.yaml: and 11 more complaints"});
}

TEST_CASE("the migration's name") {
  register_gadget();
  const std::string text = gadget("limit: 1");
  CHECK(parse_plan(text, "a/b/0001_add.column.yaml").name == "0001_add.column");
  CHECK(parse_plan("name: 0012\n" + text, "x").name == "0012");
  CHECK(parse_plan("name: " + std::string(100, 'n') + "\n" + text, "x").name.size() == 100);
  check_contains(complaints("name: " + std::string(101, 'n') + "\n" + text),
                 {"1:7: the migration's name has 101 bytes, at most 100 are allowed"});
  check_contains(complaints("name: \"a\\tb\"\n" + text), {"1:7: the migration's name contains a control character"});
  check_contains(complaints("name: ''\n" + text), {"1:7: name: must not be empty"});
  check_contains(complaints("name:\n" + text), {"1:1: name: expected a string, found nothing"});
  check_contains(complaints(text, ""), {"the migration has no name"});
  check_contains(complaints(text, "a\nb.yaml"), {"Rename the file, or give the plan a \"name\"."});
  check_contains(complaints(text, "a\xFF.yaml"), {"is not valid UTF-8"});
}

TEST_CASE("the canonical text keeps what the plan does and nothing else") {
  const Plan plan = parse(
      "# a comment\nname: n\ndescription: d\nbackfill: {target_batch: 1s}\nschema: crm\n"
      "operations:\n  - test_gadget: {unique: yes, table: 't', limit: 5, default: ~, into: [a, {name: b}],\n"
      "      down: {b: ' x', a: y}, columns: [1], references: {table: r}, settings: {s: 1}, pause: 2s}\n");
  CHECK(plan.canonical ==
        R"({"schema":"crm","deterministic":true,"operations":[{"test_gadget":{"unique":true,"table":"t","limit":5,)"
        R"("default":null,"into":[{"name":"a"},{"name":"b"}],"down":{"b":"x","a":"y"},"columns":["1"],)"
        R"("references":{"table":"r"},"settings":{"s":"1"},"pause":"2s"}}]})");
  CHECK(parse(plan.canonical).canonical == plan.canonical);
  CHECK(parse(gadget("limit: 1")).canonical != parse(gadget("limit: 2")).canonical);
  CHECK(parse("deterministic: no\n" + gadget("limit: 1")).canonical != parse(gadget("limit: 1")).canonical);
}

TEST_CASE("read_plan reads files") {
  register_gadget();
  const auto folder = std::filesystem::temp_directory_path() / "ecmigrate_planfile_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "0007_x.yaml").string();
  std::ofstream(path) << gadget("limit: 1");
  CHECK(read_plan(path).name == "0007_x");
  CHECK(read_plan(path).file == path);
  std::filesystem::remove_all(folder);

  const auto message = [](const std::string& file) -> std::string {
    try {
      read_plan(file);
    } catch (const Error& error) {
      return std::string(outcome_row(error.outcome()).name) + ": " + error.what();
    }
    return "no error";
  };
  CHECK(message(path) == "usage: cannot read " + path + ": No such file or directory");
  CHECK(message("/") == "usage: cannot read /: Is a directory");
  check_contains(message("/dev/zero"), {"plan_invalid: ", "larger than 4 MiB"});
}

TEST_CASE("the starter plan") {
  const std::string text = starter_plan("split-full-name");
  CHECK(text.starts_with("# yaml-language-server: $schema=ecmigrate.schema.json\n"));
  check_contains(text, {"\nname: split-full-name\n"});
  if (find_operation_kind("split_column") != nullptr) {
    const Plan plan = parse_plan(text, "x.yaml");
    CHECK(plan.name == "split-full-name");
    REQUIRE(plan.operations.size() == 1);
    CHECK(plan.operations[0].kind == "split_column");
    for (const char* name : {"null", "true", "0012", "a: b", "#x", "Zoë \"q\"", "- x", "{}"}) {
      CHECK(parse_plan(starter_plan(name), "x.yaml").name == name);
    }
  }
}
