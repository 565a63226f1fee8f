// The command line's words for who gave it wrong ones, and the help of each command.

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/program.hpp"

using ecmigrate::test::Answer;

namespace {

Answer run(const std::string& arguments, const std::string& redirection = " 2>&1") {
  return ecmigrate::test::run_program(arguments, redirection);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("new takes a name with or without the file's ending, and quotes it") {
  const std::string said =
      ecmigrate::test::output_of("cd $(mktemp -d) && " ECMIGRATE_PROGRAM " new 'Split Full Name' && " ECMIGRATE_PROGRAM
                                 " new other.yaml && ls && cat other.yaml");
  CHECK(said.find("next: ecmigrate plan 'Split Full Name.yaml'") != std::string::npos);
  CHECK(said.find("\nother.yaml\n") != std::string::npos);
  CHECK(said.find("other.yaml.yaml") == std::string::npos);
  CHECK(said.find("name: other\n") != std::string::npos);
}

TEST_CASE("a wrong command line names the nearest right one, and ends with 2") {
  struct Case {
    const char* arguments;
    const char* what;
    const char* hint;
  };
  const auto [arguments, what, hint] = GENERATE(values<Case>({
      {"", "no command was given", "ecmigrate help lists the commands"},
      {"expnd plan.yaml", "no command \"expnd\"", "Did you mean \"expand\"?"},
      {"-d shop backfil plan.yaml", "no command \"backfil\"", "Did you mean \"backfill\"?"},
      {"start plan.yaml", "no command \"start\"", "Did you mean \"expand\"?"},
      {"init", "no command \"init\"", "Did you mean \"new\"?"},
      {"--jsn status", "no flag --jsn", "Did you mean --json?"},
      {"expand --lock-timout 1s plan.yaml", "expand has no flag --lock-timout", "Did you mean --lock-timeout?"},
      {"expand plan.yaml --lock-timout=1s", "expand has no flag --lock-timout", "Did you mean --lock-timeout?"},
      {"status --nothing-like-it", "status has no flag --nothing-like-it", "ecmigrate help status lists the flags"},
      {"run plan.yaml --dry-run", "run has no flag --dry-run", "ecmigrate plan shows"},
      {"expand --password x plan.yaml", "expand has no flag --password", "PGPASSWORD"},
      {"expand --lock-timeout plan.yaml", "--lock-timeout has no value: it took \"plan.yaml\"", "--lock-timeout TIME"},
      {"expand plan.yaml -d", "--dbname", "ecmigrate help expand"},
      {"expand", "plan is required", "ecmigrate help expand shows its arguments and examples"},
      {"expand a.yaml b.yaml", "expand has no use for \"b.yaml\"", "ecmigrate help expand"},
      {"backfill plan.yaml --workers", "--workers", "ecmigrate help backfill"},
      {"check", "file is required", "ecmigrate help check"},
      {"check --format html plan.yaml", "--format", "ecmigrate help check"},
      {"lint plan.yaml", "no command \"lint\"", "Did you mean \"check\"?"},
      {"help exapnd", "no command \"exapnd\"", "Did you mean \"expand\"?"},
  }));
  INFO(arguments);
  const Answer answer = run(arguments);
  CHECK(answer.status == 2);
  INFO(answer.text);
  CHECK(contains(answer.text, std::string("error: ")));
  CHECK(contains(answer.text, what));
  CHECK(contains(answer.text, hint));
}

TEST_CASE("no part of a password that is not encoded in its URI is told to anybody") {
  for (const char* uri : {"postgres://app:half@s3cret@127.0.0.1:1/shop", "postgres://app:half/s3cret@127.0.0.1:1/shop",
                          "postgres://app:half%s3cret@127.0.0.1:1/shop"}) {
    const Answer answer = run(std::string("status -d '") + uri + "'");
    INFO(answer.text);
    CHECK(answer.status == 4);
    CHECK_FALSE(contains(answer.text, "s3cret"));
    CHECK_FALSE(contains(answer.text, "half"));
    CHECK(contains(answer.text, "percent-encoded"));
  }
}

TEST_CASE("each command's help has its examples, the flags of every command, and how it may end") {
  for (const std::string command :
       {"expand", "backfill", "verify", "contract", "rollback", "run", "check", "plan", "status", "pause", "throttle",
        "set", "serve", "compare", "demo", "new", "schema", "completion", "version"}) {
    INFO(command);
    const Answer help = run("help " + command);
    CHECK(help.status == 0);
    CHECK(contains(help.text, "Usage: ecmigrate " + command));
    CHECK(contains(help.text, "\n  ecmigrate " + command));
    CHECK(contains(help.text, "--dbname"));
    CHECK(contains(help.text, "--json"));
    CHECK(contains(help.text, "Exit status:\n    0  done"));
    CHECK(run(command + " --help").text == help.text);
  }
  CHECK(run("help").text == run("--help").text);
}

TEST_CASE("help fits 80 columns off a terminal") {
  for (const char* arguments : {"help", "help backfill", "help compare", "help serve"}) {
    std::istringstream text(run(arguments).text);
    for (std::string line; std::getline(text, line);) {
      INFO(line);
      CHECK(line.size() <= 80);
    }
  }
}

TEST_CASE("with --json every line of every command is an object with a number and a time") {
  for (const char* arguments : {"--json version", "schema --json", "--json help expand", "--json expnd"}) {
    INFO(arguments);
    std::istringstream text(run(arguments, " 2>/dev/null").text);
    int lines = 0;
    for (std::string line; std::getline(text, line);) {
      INFO(line);
      const auto object = nlohmann::json::parse(line);
      CHECK(object.at("seq") == ++lines);
      CHECK(object.contains("ts"));
    }
    CHECK(lines > 0);
  }
}

TEST_CASE("words that cannot be written are an error") {
  const auto command = GENERATE(as<std::string>{}, "version", "--version", "help", "help status", "status --help",
                                "schema", "completion bash", "version --json", "no-such-command --json");
  const auto output = GENERATE(as<std::string>{}, ">/dev/full", ">&-");
  INFO(command << " " << output);
  const Answer lost = run(command, " 2>&1 " + output);
  CHECK(lost.status == (command.starts_with("no-such") ? 2 : 1));
  CHECK(contains(lost.text, "error: standard output cannot be written: "));
}
