#include <nlohmann/json.hpp>

#include "support/plain_ddl.hpp"

namespace ecmigrate::test {

namespace {

constexpr const char* k_person = R"sql(
create table person (id int primary key, name text not null, street text, city text, born date);
insert into person select i, 'A' || i || ' B' || i, 'S' || i, 'C' || i, '2000-01-01' from generate_series(1, 50) i;
do $$ begin create role test_stranger login; exception when duplicate_object then null; end $$;
do $$ begin create role test_owner login; exception when duplicate_object then null; end $$)sql";

/// Everything, the journal's schema too.
std::string whole_dump(Database& database) {
  return database.schema() +
         database.rows("select relname from pg_class where relnamespace = to_regnamespace('ecmigrate') order by 1");
}

std::vector<nlohmann::json> json_lines(const std::string& out) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(out);
  for (std::string line; std::getline(text, line);) {
    INFO(line);
    REQUIRE(nlohmann::json::accept(line));
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

std::vector<std::string> keys_of(const nlohmann::json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.push_back(key);
  }
  return keys;
}

/// The last line of a run in JSON; every other one must have been JSON too.
nlohmann::json result_of(const ProgramResult& run) {
  const std::vector<nlohmann::json> lines = json_lines(run.out);
  REQUIRE_FALSE(lines.empty());
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    CHECK(lines[i].at("type") != "result");
  }
  CHECK(lines.back().at("type") == "result");
  CHECK(lines.back().at("exit_code") == run.status);
  return lines.back();
}

struct BadPlan {
  const char* name;
  std::string plan;
  int status;
  const char* place;  ///< "3:7", or "" where no line can be named
  const char* because;
  std::string setup = {};
  std::vector<std::string> flags = {};
};

void check_bad(const BadPlan& bad, const std::string& command) {
  INFO(command << ": " << bad.name);
  Database database;
  database.exec(k_person);
  if (!bad.setup.empty()) {
    database.exec(bad.setup);
  }
  const std::string schema = database.schema();
  const std::string everything = whole_dump(database);
  std::vector<std::string> arguments{command, "PLAN"};
  for (const std::string& flag : bad.flags) {
    arguments.push_back(flag.starts_with("user=") ? database.conninfo(flag) : flag);
  }
  const ProgramResult plain = run_program(database, arguments, bad.plan);
  INFO(plain.err);
  CHECK(plain.status == bad.status);
  CHECK_THAT(plain.err, Catch::Matchers::Contains(bad.because));
  if (*bad.place != '\0') {
    CHECK_THAT(plain.err, Catch::Matchers::Contains(std::string(".yaml:") + bad.place + ": "));
  }
  arguments.emplace_back("--json");
  const nlohmann::json result = result_of(run_program(database, arguments, bad.plan));
  CHECK(result.at("exit_code") == bad.status);
  CHECK(result.at("ok") == false);
  CHECK(result.at("changed") == false);
  CHECK(result.at("next") == "");
  CHECK_THAT(result.at("message").get<std::string>() + result.at("hint").get<std::string>(),
             Catch::Matchers::Contains(bad.because));
  CHECK(database.schema() == schema);
  CHECK(whole_dump(database) == everything);
  CHECK(database.value("select count(*) from person") == "50");
}

std::string split(const std::string& up, const std::string& down, const std::string& type = "text") {
  return "operations:\n  - split_column:\n      table: person\n      column: name\n      into:\n        - name: "
         "first\n          type: " +
         type + "\n          up: " + up + "\n      down: " + down + "\n";
}

std::string operation(const std::string& text) {
  return "operations:\n  - " + text + "\n";
}

const std::string k_good = split("name", "first");

}  // namespace

TEST_CASE("a plan that is wrong, or does not fit the database, is a complaint with its place and changes nothing") {
  const std::string long_name(64, 'x');
  const BadPlan plans[] = {
      {"wrong key", operation("drop_column: { table: person, colum: city }"), 3, "2:35", "did you mean \"column\""},
      {"missing key", operation("drop_column: { table: person }"), 3, "2:18", "missing key \"column\""},
      {"duplicate key", operation("drop_column: { table: person, column: city, column: street }"), 3, "2:49", "column"},
      {"unknown kind", operation("drop_colum: { table: person, column: city }"), 3, "2:5",
       "did you mean \"drop_column\""},
      {"wrong type of a field", operation("drop_column: { table: person, column: [city] }"), 3, "2:43",
       "expected a string"},
      {"not a boolean", operation("alter_column: { table: person, column: city, nullable: maybe }"), 3, "2:60",
       "nullable"},
      {"not YAML", "operations:\n  - drop_column: { table: person\n", 3, "", "yaml:"},
      {"empty", "# later\n", 3, "", "the plan is empty"},
      {"missing table", operation("drop_column: { table: persn, column: city }"), 3, "2:27",
       "Did you mean \"person\"?"},
      {"missing column", operation("drop_column: { table: person, column: citty }"), 3, "2:43",
       "Did you mean \"city\"?"},
      {"missing schema", "schema: nowhere\n" + operation("drop_column: { table: person, column: city }"), 3, "3:27",
       "schema \"nowhere\""},
      {"missing index", operation("drop_index: { name: by_nothing }"), 3, "2:25", "by_nothing"},
      {"up does not compile", split("split_part(nam, ' ', 1)", "first"), 3, "8:15", "\"nam\" does not exist"},
      {"up is no expression", split("name; drop table person", "first"), 3, "8:15", "syntax error"},
      {"down does not compile", split("name", "lower(fist)"), 3, "9:13", "\"fist\" does not exist"},
      {"up of a wrong type", split("born", "'x'", "int"), 3, "8:15", "type"},
      {"down of a wrong type",
       operation("alter_column: { table: person, column: born, type: text, down: length(born) }"), 3, "2:68", "type"},
      {"a default of a wrong type",
       operation("add_column: { table: person, column: { name: n, type: int, default: \"'many'\" } }"), 3, "2:73",
       "integer"},
      {"unknown type", split("name", "first", "txt"), 3, "7:17", "\"txt\" does not exist"},
      {"column exists already", operation("rename_column: { table: person, from: city, to: street }"), 3, "2:53",
       "exists already"},
      {"column added twice",
       "operations:\n  - rename_column: { table: person, from: city, to: town }\n  - rename_column: { table: person, "
       "from: street, to: town }\n",
       3, "3:55", "is added by this plan already"},
      {"too long name", operation("rename_column: { table: person, from: city, to: " + long_name + " }"), 3, "2:53",
       "64 bytes"},
      {"too long name of a constraint",
       operation("alter_column: { table: person, column: city, check: { name: " + long_name +
                 ", constraint: city <> '' } }"),
       3, "2:65", "64 bytes"},
      {"too long name of an index",
       operation("create_index: { table: person, name: " + long_name + ", columns: [city] }"), 3, "2:42", "64 bytes"},
      {"constraint exists already",
       operation("alter_column: { table: person, column: city, check: { name: person_pkey, constraint: city <> '' } }"),
       3, "2:65", "exists already"},
      {"unique constraint exists already",
       operation("alter_column: { table: person, column: city, unique: { name: person_pkey } }"), 3, "2:66",
       "exists already"},
      {"check does not compile",
       operation("alter_column: { table: person, column: city, check: { name: c, constraint: town <> '' } }"), 3,
       "2:80", "\"town\" does not exist"},
      {"foreign key to nothing",
       operation("alter_column: { table: person, column: city, references: { name: c, table: town, column: id } }"), 3,
       "2:62", "town"},
      {"foreign key to a column without a unique constraint",
       operation("alter_column: { table: person, column: id, references: { name: c, table: person, column: born } }"),
       3, "2:60", "unique"},
      {"NOT NULL column without up",
       operation("add_column: { table: person, column: { name: age, type: int, nullable: false } }"), 3, "2:42",
       "neither `up` nor `default`"},
      {"up that changes from call to call", split("now()::text", "first"), 3, "8:15", "another value each time"},
      {"a generated column", operation("rename_column: { table: person, from: loud, to: louder }"), 3, "2:43",
       "generated", "alter table person add loud text generated always as (upper(name)) stored"},
      {"up that reads a generated column", split("loud", "first"), 3, "8:15", "generated",
       "alter table person add loud text generated always as (upper(name)) stored"},
      {"a view", operation("drop_column: { table: seen, column: name }"), 3, "2:27", "\"seen\" is a view",
       "create view seen as select * from person"},
      {"a table with its schema", operation("drop_column: { table: public.person, column: city }"), 3, "2:27",
       "`schema: public`"},
      {"foreign key to a misspelt table",
       operation("alter_column: { table: person, column: id, references: { name: c, table: persn, column: id } }"), 3,
       "2:60", "Did you mean \"person\"?"},
      {"foreign key to a misspelt column",
       operation("alter_column: { table: person, column: id, references: { name: c, table: person, column: idd } }"), 3,
       "2:60", "Did you mean \"id\"?"},
  };
  for (const BadPlan& bad : plans) {
    check_bad(bad, "expand");
  }
  check_bad(plans[0], "plan");
  check_bad(plans[8], "run");
  check_bad(plans[12], "plan");
}

TEST_CASE("all complaints about a plan come at once") {
  Database database;
  database.exec(k_person);
  const ProgramResult run = run_program(database, {"expand", "PLAN"}, R"yaml(operations:
  - drop_column: { table: persn, column: city }
  - drop_column: { table: person, column: citty }
)yaml");
  CHECK(run.status == 3);
  CHECK_THAT(run.err, Catch::Matchers::Contains(":2:27: ") && Catch::Matchers::Contains(":3:43: "));
  const ProgramResult typed = run_program(database, {"expand", "PLAN"}, split("nam", "fist"));
  CHECK(typed.status == 3);
  CHECK_THAT(typed.err, Catch::Matchers::Contains(":8:15: ") && Catch::Matchers::Contains(":9:13: "));
}

namespace {

/// What expand says of a plan.
std::string said_of(const std::string& plan) {
  Database database;
  database.exec(k_person);
  const ProgramResult run = run_program(database, {"expand", "PLAN"}, plan);
  CHECK(run.status == 3);
  return run.err;
}

}  // namespace

TEST_CASE("an expression that the server cannot read is shown with a caret under its fault") {
  CHECK_THAT(said_of(split("\"upper(name) || lowr(name)\"", "first")),
             Catch::Matchers::Contains(".yaml:8:15: up of first: function lowr(text) does not exist\n"
                                       "    upper(name) || lowr(name)\n"
                                       "                   ^\n"
                                       "  hint: "));
  CHECK_THAT(said_of(split("name", "upper(first) ||")), Catch::Matchers::Contains("down of name: syntax error"));
  // Of several lines, in which characters have several bytes.
  CHECK_THAT(said_of(split("|\n            case when name = 'Zoë' then upper(name)\n                 else 'Zoë' || "
                           "nam\n            end\n",
                           "first")),
             Catch::Matchers::Contains("up of first: column \"nam\" does not exist\n"
                                       "    case when name = 'Zoë' then upper(name)\n"
                                       "         else 'Zoë' || nam\n"
                                       "                       ^\n"
                                       "    end\n"));
  CHECK_THAT(said_of(operation("alter_column: { table: person, column: city, check: { name: long, constraint: "
                               "\"length(cty) > 0\" } }")),
             Catch::Matchers::Contains("column \"cty\" does not exist\n"
                                       "    length(cty) > 0\n"
                                       "           ^\n"));
  CHECK_THAT(said_of(operation("alter_column: { table: person, column: city, default: \"lowr('X')\" }")),
             Catch::Matchers::Contains("does not exist\n    lowr('X')\n    ^\n"));
  CHECK_THAT(said_of(operation("create_index: { table: person, name: i, columns: [city], predicate: \"cty = 'X'\" }")),
             Catch::Matchers::Contains("index i: column \"cty\" does not exist\n"
                                       "    using \"btree\" (\"city\") where cty = 'X'\n"
                                       "                                 ^\n"));
}

TEST_CASE("a fault in the syntax of the plan's own sql is told before anything is done, whichever phase runs it") {
  for (const std::string key : {"expand", "contract", "up"}) {
    INFO(key);
    const std::string said =
        said_of(operation("sql:\n      " + key + ": |\n        insert into person (name) values ('é');\n" +
                          "        delete form person\n"));
    CHECK_THAT(said, Catch::Matchers::Contains(key + " of sql: syntax error at or near \"form\"\n"
                                                     "    insert into person (name) values ('é');\n"
                                                     "    delete form person\n"
                                                     "           ^\n"));
  }
  CHECK_THAT(said_of(operation("sql: { expand: \"select 1\", rollback: \"drop tabel x\" }")),
             Catch::Matchers::Contains("rollback of sql: syntax error at or near \"tabel\""));
  Database database;
  database.exec(k_person);
  CHECK(run_program(database, {"plan", "PLAN"}, operation("sql: { contract: \"drop tabel x\" }")).status == 3);
  // What is not there yet is no fault, and a text may end as it likes.
  CHECK(run_program(database, {"plan", "PLAN"}, operation("sql: { contract: \"drop table x; -- gone\" }")).status == 0);
}

TEST_CASE("an expression whose fault lies outside of it is shown without a caret") {
  const std::string said = said_of(split("upper((name)", "first"));
  CHECK_THAT(said, Catch::Matchers::Contains("    upper((name)\n  hint: The server has read past its end"));
  CHECK(said.find('^') == std::string::npos);
}

TEST_CASE("a plan that fits but would do harm is refused and changes nothing", "[superuser]") {
  const std::string hidden =
      "alter table person owner to test_owner; alter table person enable row level security, force row level security; "
      "create policy half on person using (id % 2 = 0)";
  const BadPlan plans[] = {
      {"row security", k_good, 7, "3:14", "row security hides rows", hidden, {"-d", "user=test_owner"}},
      {"not the owner",
       k_good,
       7,
       "3:14",
       "may not alter",
       "grant all on person to test_stranger",
       {"-d", "user=test_stranger"}},
      {"up raises on a row", split("(100 / (id - 33))::text", "first"), 7, "", "person row id=33: division by zero"},
      {"down raises on a row", split("name", "\"case when id = 34 then (1 / (id - 34))::text else first end\""), 7, "",
       "person row id=34: division by zero"},
      {"up is null for a column that is not nullable", split("\"nullif(name, 'A35 B35')\"", "first"), 7, "",
       "person row id=35: `up` gives null"},
      {"the value does not fit", split("name || id || 'xx'", "first", "varchar(9)"), 7, "", "value too long"},
      {"lossy under --strict",
       split("split_part(name, ' ', 1)", "first"),
       7,
       "",
       "50 of 50 rows lose something",
       "",
       {"--strict"}},
      {"a view in the way under --strict",
       k_good,
       7,
       "",
       "--strict",
       "create view seen as select name from person",
       {"--strict"}},
  };
  for (const BadPlan& bad : plans) {
    check_bad(bad, "expand");
  }
}

TEST_CASE("what stands in the command line's way is said with exit code 2 and as JSON too") {
  Database database;
  database.exec(k_person);
  const std::string everything = whole_dump(database);
  const std::string nowhere = temporary_file("", "") + ".missing.yaml";
  const ProgramResult missing = run_program(database, {"expand", nowhere});
  CHECK(missing.status == 2);
  CHECK_THAT(missing.err, Catch::Matchers::Contains(nowhere));
  const nlohmann::json result = result_of(run_program(database, {"expand", nowhere, "--json"}));
  CHECK(result.at("outcome") == "usage");
  const nlohmann::json duration =
      result_of(run_program(database, {"expand", "PLAN", "--lock-timeout", "5 parsecs", "--json"}, k_good));
  CHECK(duration.at("exit_code") == 2);
  const nlohmann::json flag = result_of(run_program(database, {"expand", "PLAN", "--no-such-flag", "--json"}, k_good));
  CHECK(flag.at("exit_code") == 2);
  CHECK(keys_of(flag) == keys_of(duration));
  CHECK(whole_dump(database) == everything);
}

TEST_CASE("a loss on the way there and back is a warning with examples; a view on the old column too, until contract") {
  Database database;
  database.exec(k_person);
  database.exec("create view seen as select name from person");
  const std::string lossy = "name: lossy\n" + split("\"case when id = 36 then 'Elsa' else name end\"", "first");
  const ProgramResult expanded = run_program(database, {"expand", "PLAN"}, lossy);
  CHECK(expanded.status == 0);
  CHECK_THAT(expanded.err, Catch::Matchers::Contains("on 50 rows of person: 1 of 50 lose something") &&
                               Catch::Matchers::Contains("`A36 B36` → `Elsa`"));
  CHECK_THAT(expanded.err, Catch::Matchers::Contains("view seen"));
  const ProgramResult run = run_program(database, {"run", "PLAN"}, lossy);
  CHECK(run.status == 0);
  const std::string schema = database.schema();
  const ProgramResult refused = run_program(database, {"contract", "PLAN", "--confirm", "lossy"}, lossy);
  CHECK(refused.status == 7);
  CHECK_THAT(refused.err, Catch::Matchers::Contains("view seen (needs person.name)"));
  CHECK(database.schema() == schema);
  database.exec("drop view seen");
  CHECK(run_program(database, {"contract", "PLAN", "--confirm", "lossy"}, lossy).status == 0);
}

TEST_CASE("the result in JSON has the same keys whatever the end") {
  Database database;
  database.exec(k_person);
  const std::string plan = "name: good\n" + k_good;
  std::vector<nlohmann::json> results;
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"contract", "PLAN", "--json", "--confirm", "good"},  // out of order
           {"expand", "PLAN", "--json"},
           {"expand", "PLAN", "--json"},  // nothing to do
           {"run", "PLAN", "--json"},
           {"status", "PLAN", "--json"},
           {"plan", "PLAN", "--json"},
           {"contract", "PLAN", "--json"},  // not confirmed
           {"contract", "PLAN", "--json", "--confirm", "good"},
           {"rollback", "PLAN", "--json"},  // too late
       }) {
    INFO(arguments.front() << " " << arguments.size());
    const ProgramResult run = run_program(database, arguments, plan);
    INFO(run.out << run.err);
    results.push_back(result_of(run));
    CHECK(keys_of(results.back()) == keys_of(results.front()));
    CHECK(results.back().at("command") == arguments.front());
    CHECK(results.back().at("migration") == "good");
  }
  std::vector<int> codes;
  for (const nlohmann::json& result : results) {
    codes.push_back(result.at("exit_code").get<int>());
  }
  CHECK(codes == std::vector<int>{7, 0, 0, 0, 0, 0, 7, 0, 7});
}

}  // namespace ecmigrate::test
