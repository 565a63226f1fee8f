// `ecmigrate check`: what it finds without a server, and the formats in which it says so.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "ecmigrate/op/kind.hpp"
#include "ecmigrate/report/check_formats.hpp"
#include "support/catch.hpp"
#include "support/example_table.hpp"
#include "support/program.hpp"

namespace ecmigrate::test {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// A folder for plan files, removed at the end.
class Folder {
 public:
  Folder() : m_path(fs::temp_directory_path() / fmt::format("ecmigrate_check_test_{}", getpid())) {
    fs::remove_all(m_path);
    fs::create_directories(m_path);
  }
  ~Folder() { fs::remove_all(m_path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Its path.
  std::string write(const std::string& name, const std::string& text) const {
    const fs::path path = m_path / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  [[nodiscard]] std::string path(const std::string& name = "") const { return (m_path / name).string(); }

 private:
  fs::path m_path;
};

/// "rule line:column message" for each complaint.
std::vector<std::string> lines_of(const PlanCheck& plan) {
  std::vector<std::string> lines;
  for (const PlanComplaint& one : plan.complaints) {
    lines.push_back(fmt::format("{} {}:{} {}", plan_rule_row(one.rule).id, one.at.line, one.at.column, one.message));
  }
  return lines;
}

/// The complaints about a plan with these operations, each a flow map.
std::vector<std::string> about(const std::vector<std::string>& operations) {
  const Folder folder;
  std::string text = "operations:\n";
  for (const std::string& operation : operations) {
    text += "  - " + operation + "\n";
  }
  const std::vector<std::string> files{folder.write("plan.yaml", text)};
  return lines_of(check_plans(files).front());
}

/// An element of an XML document; the text of those below it is not in its own.
struct Element {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::string text;
  std::vector<Element> children;
};

/// Reads what XML 1.0 says a document is, as far as reports use it, and fails where it is not one.
class XmlReader {
 public:
  explicit XmlReader(std::string text) : m_text(std::move(text)) {}

  Element read() {
    const std::string declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    REQUIRE(m_text.starts_with(declaration));
    for (const char c : m_text) {
      REQUIRE((static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t'));
    }
    m_at = declaration.size();
    Element root = element();
    CHECK(m_text.substr(m_at) == "\n");
    return root;
  }

 private:
  [[nodiscard]] bool next_is(std::string_view what) const { return m_text.compare(m_at, what.size(), what) == 0; }

  void take(std::string_view what) {
    INFO("at: " << m_text.substr(m_at, 80) << "\nwanted: " << what);
    REQUIRE(next_is(what));
    m_at += what.size();
  }

  std::string word() {
    const std::size_t from = m_at;
    while (m_at < m_text.size() && (std::isalnum(static_cast<unsigned char>(m_text[m_at])) != 0)) {
      ++m_at;
    }
    REQUIRE(m_at > from);
    return m_text.substr(from, m_at - from);
  }

  /// Up to the sign, with entities replaced.
  std::string characters(char end) {
    std::string out;
    while (m_text.at(m_at) != end) {
      REQUIRE(m_text[m_at] != '<');
      if (m_text[m_at] != '&') {
        out += m_text[m_at++];
        continue;
      }
      const std::string entity = m_text.substr(m_at + 1, m_text.find(';', m_at) - m_at - 1);
      static const std::map<std::string, char> k_entities{{"amp", '&'}, {"lt", '<'},   {"gt", '>'},  {"quot", '"'},
                                                          {"#9", '\t'}, {"#10", '\n'}, {"#13", '\r'}};
      REQUIRE(k_entities.contains(entity));
      out += k_entities.at(entity);
      m_at += entity.size() + 2;
    }
    return out;
  }

  Element element() {
    Element out;
    take("<");
    out.name = word();
    while (next_is(" ")) {
      take(" ");
      const std::string name = word();
      take("=\"");
      REQUIRE(out.attributes.emplace(name, characters('"')).second);
      take("\"");
    }
    if (next_is("/>")) {
      take("/>");
      return out;
    }
    take(">");
    while (!next_is("</")) {
      out.text += characters('<');
      if (!next_is("</")) {
        out.children.push_back(element());
      }
    }
    take("</");
    CHECK(word() == out.name);
    take(">");
    return out;
  }

  std::string m_text;
  std::size_t m_at = 0;
};

/// A file name with everything in it that means something in some format, and bytes that mean nothing in any.
const std::string k_hostile = "a<b>&\"'%,:\r\n\x1b[31m\x01\xFFz ü#.yaml";
const std::string k_hostile_message = "unknown key \"<x>&'%,:\r\n]]>\" in split_column";

std::vector<PlanCheck> hostile() {
  return {{k_hostile,
           "m",
           {{PlanRule::fields, {14, 7}, k_hostile_message, "Did you mean <y> & \"z\"?", "   14 | <x>\n      | ^"},
            {PlanRule::yaml, {}, "two", "", ""}}},
          {"right.yaml", "r", {}}};
}

std::string document(CheckFormat format, const std::vector<PlanCheck>& plans) {
  return check_document(format, plans, "/srv/shop");
}

}  // namespace

TEST_CASE("check finds every complaint of every file, each under its rule") {
  const Folder folder;
  const std::vector<std::string> files{
      folder.write("a.yaml", "oprations: []\nname: [x]\n"), folder.path("none.yaml"),
      folder.write("b.yaml", "operations: [\n"),
      folder.write("c.yaml",
                   "name: x\nname: y\noperations:\n  - drop_index: { name: i, nme: j }\n  - drop_inde: {}\n")};
  const std::vector<PlanCheck> plans = check_plans(files);
  REQUIRE(plans.size() == 4);
  CHECK(plans[0].file == files[0]);
  CHECK(lines_of(plans[0]) == std::vector<std::string>{"fields 1:1 unknown key \"oprations\" in the plan",
                                                       "fields 2:7 name: expected a string, found a list"});
  CHECK(plans[0].complaints[0].hint == "did you mean \"operations\"?");
  CHECK(plans[0].complaints[0].excerpt == "    1 | oprations: []\n      | ^");
  CHECK(lines_of(plans[1]) == std::vector<std::string>{"file 0:0 cannot be read: No such file or directory"});
  REQUIRE(plans[2].complaints.size() == 1);
  CHECK(plan_rule_row(plans[2].complaints[0].rule).id == "yaml");
  CHECK(lines_of(plans[3]) == std::vector<std::string>{"yaml 2:1 duplicate key \"name\", first on line 1",
                                                       "fields 4:28 unknown key \"nme\" in drop_index",
                                                       "fields 5:5 unknown operation \"drop_inde\""});
  CHECK(check_summary(plans) == "7 complaints in 4 of 4 plans");
}

TEST_CASE("check lists at most 50 complaints of a file, and says how many more there are") {
  const Folder folder;
  std::string text = "operations: [{ drop_index: { name: i } }]\n";
  for (int i = 0; i < 60; ++i) {
    text += fmt::format("wrong_{}: 1\n", i);
  }
  const std::vector<std::string> files{folder.write("a.yaml", text)};
  const PlanCheck plan = check_plans(files).front();
  CHECK(plan.complaints.size() == 51);
  CHECK(plan.complaints.back().message == "and 10 more complaints");
}

TEST_CASE("check complains of two plans with one name, and not of a plan that is given twice") {
  const Folder folder;
  const std::string operations = "operations: [{ drop_index: { name: i } }]\n";
  const std::string first = folder.write("a.yaml", operations + "name: x\n");
  const std::string second = folder.write("b.yaml", "name: x\n" + operations);
  const std::string third = folder.write("c/x.yaml", operations);
  const std::vector<std::string> files{first, second, third, folder.path("c/../a.yaml")};
  const std::vector<PlanCheck> plans = check_plans(files);
  REQUIRE(plans.size() == 3);
  CHECK(lines_of(plans[0]).empty());
  CHECK(lines_of(plans[1]) == std::vector<std::string>{"name 1:7 " + first + " has the name \"x\", too"});
  CHECK(lines_of(plans[2]) == std::vector<std::string>{"name 0:0 " + first + " has the name \"x\", too"});
  CHECK(plans[2].migration == "x");
}

TEST_CASE("check knows operations that no database can do together") {
  struct Case {
    std::vector<std::string> operations;
    std::string complaint;
  };
  const std::string taken = "exists already, as the plan counts on it elsewhere";
  const auto [operations, complaint] = GENERATE_COPY(values<Case>({
      {{"drop_column: { table: t, column: a }", "rename_column: { table: t, from: a, to: b }"},
       "3:5 another operation of this plan changes \"a\" already"},
      {{"alter_column: { table: t, column: a, type: text }", "alter_column: { table: t, column: a, type: int }"},
       "3:5 another operation of this plan changes \"a\" already"},
      {{"rename_column: { table: t, from: a, to: c }", "rename_column: { table: t, from: b, to: c }"},
       "3:45 column \"c\" of \"t\" is added by this plan already"},
      {{"rename_column: { table: t, from: a, to: b }", "alter_column: { table: t, column: b, nullable: false }"},
       "2:45 column \"b\" of \"t\" " + taken},
      {{"split_column: { table: t, column: a, into: [{ name: a, type: text, up: a }], down: a }"},
       "2:57 column \"a\" of \"t\" " + taken},
      {{"create_index: { table: t, name: i, columns: [b] }",
        "add_column: { table: t, column: { name: b, type: int, nullable: true } }"},
       "3:45 column \"b\" of \"t\" " + taken},
      {{"create_index: { table: t, name: i, columns: [a] }", "drop_index: { name: i }"}, "2:37 index \"i\" " + taken},
      {{"create_index: { table: t, name: i, columns: [a] }", "create_index: { table: t, name: i, columns: [b] }"},
       "3:37 index \"i\" is added by this plan already"},
      {{"create_index: { table: t, name: i, columns: [a] }", "drop_column: { table: t, column: a }"},
       "2:50 contract drops \"a\", and the index with it"},
      {{"drop_column: { table: t, column: a }", "sql: { expand: select 1 }", "drop_column: { table: t, column: b }"},
       "3:5 operation 2 is `sql` between operations on \"t\", which are done together"},
      {{"sql: { up: select 1, expand: select 2 }"},
       "2:5 give either `up` (with `down` or `onComplete`), or any of `expand`, `contract` and `rollback`"},
      {{"sql: { contract: select 1, rollback: select 2 }"}, "2:42 `rollback` without `expand` would never run"},
      {{"add_column: { table: t, column: { name: b, type: int } }"},
       "2:37 column \"b\" is not nullable and has neither `up` nor `default`"},
      {{"merge_columns: { table: t, columns: [a, b], into: { name: c, type: text, up: a }, down: { a: c } }"},
       "2:93 down has no expression for \"b\""},
      {{"alter_column: { table: t, column: a, references: { name: f, table: t, column: b } }",
        "rename_column: { table: t, from: c, to: b }"},
       "3:45 column \"b\" of \"t\" " + taken},
      {{"rename_column: { table: t, from: a, to: " + std::string(64, 'x') + " }"},
       "2:45 the name \"" + std::string(64, 'x') + "\" has 64 bytes, PostgreSQL keeps 63"},
      {{"drop_index: { name: " + std::string(64, 'x') + " }"},
       "2:5 the name \"" + std::string(64, 'x') + "\" has 64 bytes, PostgreSQL keeps 63"},
      {{"create_index: { table: t, name: i, columns: [{ column: a, opclass: { name: b. } }] }"}, "2:5 a name is empty"},
  }));
  INFO(complaint);
  const std::vector<std::string> lines = about(operations);
  REQUIRE(lines.size() == 1);
  CHECK(lines.front() == "operations " + complaint);
}

TEST_CASE("check has nothing to say of plans that some database takes") {
  for (const OperationKind* kind : operation_kinds()) {
    if (!kind->name.starts_with("test_")) {
      INFO(kind->name);
      const Folder folder;
      const std::vector<std::string> files{folder.write("plan.yaml", plan_of(kind->example))};
      CHECK(lines_of(check_plans(files).front()).empty());
    }
  }
  const std::vector<std::string> plans{ECMIGRATE_SOURCE_DIR "/plans/split-full-name.yaml"};
  CHECK(lines_of(check_plans(plans).front()).empty());
  CHECK(check_summary(check_plans(plans)) == "1 plan is right");
  CHECK(about({"alter_column: { table: t, column: a, type: bigint, up: a * 2, down: a / 2 }",
               "alter_column: { table: t, column: a, nullable: false, name: b }",
               "create_index: { table: t, name: i, columns: [a, b] }",
               "alter_column: { table: t, column: c, references: { name: f, table: t, column: d } }",
               "alter_column: { table: t, column: d, unique: { name: u }, check: { name: k, constraint: d > 0 } }",
               "add_column: { table: t2, column: { name: a, type: int, unique: true, default: '1', references: { name: "
               "f2, table: t3, column: id } } }",
               "drop_index: { name: old }", "drop_column: { table: t3, column: x }"})
            .empty());
  // An index on the new name of a column, and on one that a split makes.
  CHECK(about({"rename_column: { table: t, from: a, to: b }",
               "split_column: { table: t, column: c, into: [{ name: d, type: text, up: c }], down: d }",
               "create_index: { table: t, name: i, columns: [b, d, e] }"})
            .empty());
}

TEST_CASE("check's text is that of the program's errors, and harmless in a terminal") {
  CHECK(document(CheckFormat::text, {{"p.yaml", "p", {{PlanRule::yaml, {3, 5}, "wrong", "Mend it.", "    3 | x"}}}}) ==
        "p.yaml:3:5: wrong\n    3 | x\nhint: Mend it.\n");
  const std::string text = document(CheckFormat::text, hostile());
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\x01') == std::string::npos);
  CHECK(text.find('\xFF') == std::string::npos);
  CHECK(text.find("z ü#.yaml:14:7: ") != std::string::npos);
  CHECK(document(CheckFormat::text, {{"right.yaml", "r", {}}}).empty());
}

TEST_CASE("check's json is one array of complaints") {
  const Json all = Json::parse(document(CheckFormat::json, hostile()));
  REQUIRE(all.size() == 2);
  CHECK(all[0]["line"] == 14);
  CHECK(all[0]["column"] == 7);
  CHECK(all[0]["rule"] == "fields");
  CHECK(all[0]["message"] == k_hostile_message);
  CHECK(all[0]["hint"] == "Did you mean <y> & \"z\"?");
  CHECK(all[0]["path"].get<std::string>().ends_with("z ü#.yaml"));
  CHECK(all[1]["line"].is_null());
  CHECK(Json::parse(document(CheckFormat::json, {})) == Json::array());
  const Json members = Json::parse(check_members(hostile()[0]));
  CHECK(members["ok"] == false);
  CHECK(members["complaints"] == all);
}

TEST_CASE("check's annotations for GitHub are one line each, with what ends a part escaped") {
  std::istringstream lines(document(CheckFormat::github, hostile()));
  std::vector<std::string> all;
  for (std::string line; std::getline(lines, line);) {
    all.push_back(line);
  }
  REQUIRE(all.size() == 2);
  CHECK(all[0] ==
        "::error file=a<b>&\"'%25%2C%3A%0D%0A\x1b[31m\x01\xFFz ü#.yaml,line=14,col=7,title=ecmigrate check "
        "(fields)::unknown key \"<x>&'%25,:%0D%0A]]>\" in split_column%0Ahint: Did you mean <y> & \"z\"?");
  CHECK(all[1].ends_with("z ü#.yaml,title=ecmigrate check (yaml)::two"));
  CHECK(document(CheckFormat::github, {{"right.yaml", "r", {}}}).empty());
}

TEST_CASE("check's report for GitLab has every member that Code Quality wants") {
  const auto report = [](const std::vector<PlanCheck>& plans) {
    return Json::parse(document(CheckFormat::gitlab, plans));
  };
  const Json all = report(hostile());
  REQUIRE(all.size() == 2);
  std::set<std::string> fingerprints;
  for (const Json& one : all) {
    CHECK(!one.at("description").get<std::string>().empty());
    CHECK(one.at("check_name").get<std::string>().starts_with("ecmigrate-"));
    CHECK(std::set<std::string>{"info", "minor", "major", "critical", "blocker"}.contains(one.at("severity")));
    CHECK(!one.at("location").at("path").get<std::string>().starts_with("./"));
    CHECK(one.at("location").at("lines").at("begin") >= 1);
    CHECK(fingerprints.insert(one.at("fingerprint")).second);
  }
  CHECK(report({}) == Json::array());

  // A complaint stays the same one when its line moves, and is another one in another file.
  const PlanComplaint wrong{PlanRule::fields, {3, 1}, "wrong", "", ""};
  PlanComplaint lower = wrong;
  lower.at.line = 9;
  const auto print = [&](const std::string& file, const std::vector<PlanComplaint>& complaints) {
    std::vector<std::string> prints;
    for (const Json& one : report({{file, "p", complaints}})) {
      prints.push_back(one.at("fingerprint"));
    }
    return prints;
  };
  CHECK(print("p.yaml", {wrong}) == std::vector<std::string>{"85a4329658847297"});
  CHECK(print("p.yaml", {lower}) == print("p.yaml", {wrong}));
  CHECK(print("./p.yaml", {wrong}) == print("/srv/shop/p.yaml", {wrong}));
  CHECK(print("q.yaml", {wrong}) != print("p.yaml", {wrong}));
  const auto both = print("p.yaml", {wrong, lower});
  CHECK(both[0] == print("p.yaml", {wrong})[0]);
  CHECK(both[0] != both[1]);
}

TEST_CASE("check's junit report is well-formed XML with one case a file") {
  const Element suites = XmlReader(document(CheckFormat::junit, hostile())).read();
  CHECK(suites.name == "testsuites");
  REQUIRE(suites.children.size() == 1);
  const Element& suite = suites.children.front();
  CHECK(suite.name == "testsuite");
  for (const Element* one : {&suites, &suite}) {
    CHECK(one->attributes.at("tests") == "2");
    CHECK(one->attributes.at("failures") == "1");
    CHECK(one->attributes.at("errors") == "0");
  }
  REQUIRE(suite.children.size() == 2);
  const Element& wrong = suite.children[0];
  CHECK(wrong.name == "testcase");
  CHECK(wrong.attributes.at("name") == "a<b>&\"'%,:\r\n\uFFFD[31m\uFFFD\uFFFDz ü#.yaml");
  CHECK(wrong.attributes.contains("classname"));
  REQUIRE(wrong.children.size() == 1);
  CHECK(wrong.children[0].name == "failure");
  CHECK(wrong.children[0].attributes.at("message") == k_hostile_message + " (and 1 more)");
  CHECK(wrong.children[0].attributes.at("type") == "fields");
  CHECK(wrong.children[0].text.find(k_hostile_message) != std::string::npos);
  CHECK(wrong.children[0].text.find("yaml: two\n") != std::string::npos);
  CHECK(suite.children[1].attributes.at("name") == "right.yaml");
  CHECK(suite.children[1].children.empty());
}

TEST_CASE("check's sarif log has the members that the schema requires, and relative URIs") {
  const Json log = Json::parse(document(CheckFormat::sarif, hostile()));
  // sarif-schema-2.1.0.json: required are version and runs; of a run tool; of a tool driver; of a toolComponent name;
  // of a reportingDescriptor id; of a result message; of an invocation executionSuccessful.
  CHECK(log.at("version") == "2.1.0");
  REQUIRE(log.at("runs").size() == 1);
  const Json& run = log["runs"][0];
  CHECK(run.at("tool").at("driver").at("name") == "ecmigrate");
  CHECK(run["tool"]["driver"].at("version") == ECMIGRATE_VERSION);
  const Json& rules = run["tool"]["driver"].at("rules");
  CHECK(rules.size() == k_plan_rules.size());
  CHECK(run.at("invocations").at(0).at("executionSuccessful") == true);
  REQUIRE(run.at("results").size() == 2);
  for (const Json& result : run["results"]) {
    CHECK(result.at("level") == "error");
    CHECK(!result.at("message").at("text").get<std::string>().empty());
    CHECK(rules.at(result.at("ruleIndex").get<std::size_t>()).at("id") == result.at("ruleId"));
    REQUIRE(result.at("locations").size() == 1);
    const Json& place = result["locations"][0].at("physicalLocation");
    CHECK(place.at("artifactLocation").at("uri") ==
          "a%3Cb%3E%26%22%27%25%2C%3A%0D%0A%1B%5B31m%01%FFz%20%C3%BC%23.yaml");
    CHECK(place.at("region").at("startLine") >= 1);
    CHECK(result.at("partialFingerprints").size() == 1);
  }
  CHECK(run["results"][0]["locations"][0]["physicalLocation"]["region"] == Json{{"startLine", 14}, {"startColumn", 7}});

  const auto uri = [](const std::string& file) {
    const Json one = Json::parse(document(CheckFormat::sarif, {{file, "p", {{PlanRule::yaml, {}, "wrong", "", ""}}}}));
    return one["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
  };
  CHECK(uri("./plans//x.yaml") == "plans/x.yaml");
  CHECK(uri("plans/../x.yaml") == "x.yaml");
  CHECK(uri("/srv/shop/plans/x.yaml") == "plans/x.yaml");
  CHECK(uri("../x.yaml") == "file:///srv/x.yaml");
  CHECK(Json::parse(document(CheckFormat::sarif, {}))["runs"][0].at("results") == Json::array());
}

TEST_CASE("check ends with 0 or 3, and standard output has the document alone") {
  const Folder folder;
  const std::string right = folder.write("right.yaml", "operations: [{ drop_index: { name: i } }]\n");
  const std::string wrong = folder.write("wrong.yaml", "operations: []\n");
  const std::string both = "check " + right + " " + wrong;

  CHECK(run_program("check " + right, " 2>/dev/null").text == "1 plan is right\n");
  const Answer fine = run_program("check " + right);
  CHECK(fine.status == 0);
  CHECK(fine.text.find("next: ecmigrate plan " + right) != std::string::npos);

  const Answer text = run_program(both, " 2>/dev/null");
  CHECK(text.status == 3);
  CHECK(text.text.starts_with(wrong + ":1:13: operations: the list is empty\n"));
  CHECK(run_program(both, " 2>&1 >/dev/null").text == "error: 1 complaint in 1 of 2 plans\n");

  for (const auto& [word, format] : k_check_formats) {
    INFO(word);
    const std::string with_format = both + " --format " + std::string(word);
    const Answer answer = run_program(with_format, " 2>/dev/null");
    CHECK(answer.status == 3);
    const std::vector<std::string> files{right, wrong};
    CHECK(answer.text == check_document(format, check_plans(files), fs::current_path()));
    if (format != CheckFormat::text) {
      CHECK(run_program(with_format, " 2>&1 >/dev/null").text == "1 complaint in 1 of 2 plans\n");
      CHECK(run_program(with_format + " --quiet", " 2>&1 >/dev/null").text.empty());
      CHECK(run_program("check " + right + " --format " + std::string(word), " >/dev/null 2>&1").status == 0);
    }
    CHECK(run_program(with_format, " 2>/dev/null >/dev/full").status == 1);
  }

  std::istringstream lines(run_program(both + " --json", " 2>/dev/null").text);
  std::vector<Json> objects;
  for (std::string line; std::getline(lines, line);) {
    objects.push_back(Json::parse(line));
  }
  REQUIRE(objects.size() == 3);
  CHECK(objects[0]["type"] == "check");
  CHECK(objects[0]["ok"] == true);
  CHECK(objects[1]["complaints"][0]["line"] == 1);
  CHECK(objects[2]["type"] == "result");
  CHECK(objects[2]["outcome"] == "plan_invalid");

  const Answer twice = run_program(both + " --json --format json", " 2>&1");
  CHECK(twice.status == 2);
  CHECK(Json::parse(twice.text)["message"] == "--json and --format exclude each other");

  const Answer missing = run_program("check " + folder.path("none.yaml"));
  CHECK(missing.status == 3);
  CHECK(missing.text.find("none.yaml: cannot be read: No such file or directory") != std::string::npos);
}

}  // namespace ecmigrate::test
