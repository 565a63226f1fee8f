#include "ecmigrate/scene/compare.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <sstream>

#include "command.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/model/fixed_settings.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/store/journal.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

constexpr std::int64_t k_usual_rows = 200'000;

struct CompareFlags {
  std::string plan_file;
  std::string rows;
  std::vector<std::string> accept_drop;
  double rate = 200;
  bool scratch = false;
  bool record = false;
  std::string out;
};

/// Reads "50000", "50k" and "5M".
std::int64_t read_rows(const std::string& text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), end, number);
  const std::string_view rest(unit, static_cast<std::size_t>(end - unit));
  const std::int64_t factor = rest.empty() ? 1 : rest == "k" ? 1'000 : rest == "M" ? 1'000'000 : 0;
  constexpr std::int64_t k_most = 1'000'000'000;
  if (error != std::errc() || factor == 0 || number < 1 || number > k_most / factor) {
    throw Error(Outcome::usage, fmt::format("--rows \"{}\" is not a number of rows", text),
                "For example 200000, 50k or 5M; several with commas.");
  }
  return number * factor;
}

scene::CompareOptions options_of(const CompareFlags& flags, const CommonFlags& common) {
  if (flags.scratch && common.dbname.empty()) {
    throw Error(Outcome::usage, "--scratch is about the database of --dbname, which was not given",
                "Without both, compare starts a server of its own.");
  }
  if (!common.dbname.empty() && !flags.scratch && !flags.record) {
    throw Error(Outcome::usage,
                "compare does a migration the naive way, under load, on the server of --dbname: that needs --scratch",
                "Give it only for a server that is meant for it; without --dbname, compare starts one of its own.");
  }
  scene::CompareOptions options;
  options.requests_per_second = flags.rate;
  options.scratch = flags.scratch ? common.dbname : std::string();
  std::istringstream list(flags.rows);
  for (std::string rows; std::getline(list, rows, ',');) {
    options.sizes.push_back(read_rows(rows));
  }
  options.accept_drop = {flags.accept_drop.begin(), flags.accept_drop.end()};
  if (options.sizes.empty() && options.scratch.empty()) {
    options.sizes = {k_usual_rows};
  }
  return options;
}

/// Opened before the work, which may take minutes.
class OutFile {
 public:
  explicit OutFile(const std::string& path)
      : m_path(path), m_file(path.empty() ? nullptr : std::fopen(path.c_str(), "w")) {
    if (!path.empty() && m_file == nullptr) {
      throw Error(Outcome::usage, fmt::format("--out {} cannot be written: {}", path, std::strerror(errno)));
    }
  }
  ~OutFile() {
    if (m_file != nullptr) {
      std::fclose(m_file);
    }
  }
  OutFile(const OutFile&) = delete;
  OutFile& operator=(const OutFile&) = delete;

  void write(const std::string& text) {
    if (m_file != nullptr && (std::fputs((text + "\n").c_str(), m_file) < 0 || std::fflush(m_file) != 0)) {
      throw Error(Outcome::failed, fmt::format("--out {} could not be written: {}", m_path, std::strerror(errno)));
    }
  }

 private:
  std::string m_path;
  std::FILE* m_file;
};

void compare(const CompareFlags& flags, Invocation& invocation) {
  const scene::CompareOptions options = options_of(flags, invocation.flags);
  const Plan plan = read_plan(flags.plan_file, invocation.flags.schema);
  invocation.result.migration = plan.name;
  std::unique_ptr<pg::Connection> target;
  if (flags.record) {
    target =
        std::make_unique<pg::Connection>(pg::Target{connection_string(invocation.flags), "ecmigrate compare", nullptr});
    if (!target->through_pooler()) {
      target->script(own_settings());
    }
    Journal(*target).install();
    target.reset();  // a server would not copy a database that we are connected to
  }
  OutFile out(flags.out);
  const scene::Comparison comparison = scene::compare(plan, options, invocation.observer, invocation.interrupt.token());
  const std::string json = scene::comparison_json(comparison);
  out.write(json);
  if (flags.record) {
    pg::Connection connection({connection_string(invocation.flags), "ecmigrate compare", nullptr});
    connection.script("begin; " + own_settings_for_now());
    Journal(connection).record_comparison(plan.name, comparison.rows, comparison.server, json);
    connection.script("commit");
    invocation.result.message = fmt::format("recorded in the journal of {}", connection.description());
  }
  invocation.observer.on(event::Document{"comparison", json});
  if (!invocation.flags.report.json) {
    print_whole(scene::comparison_text(comparison));
  }
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  auto flags = std::make_shared<CompareFlags>();
  command.add_option("plan", flags->plan_file, "The plan file")->required()->type_name("PLAN");
  command
      .add_option("--rows", flags->rows,
                  "Rows of the sample table users, for example 50k,500k,5M; default 200k, or the tables of --scratch "
                  "as they are")
      ->type_name("LIST");
  command.add_option("--rate", flags->rate, "Requests of the application a second; default 200")
      ->check(CLI::Range(1.0, 100'000.0))
      ->type_name("N");
  command
      .add_option("--accept-drop", flags->accept_drop,
                  "An index, constraint or statistics object that may go with a dropped column")
      ->type_name("NAME");
  command.add_flag("--scratch", flags->scratch,
                   "The server of --dbname is meant for this: compare makes, loads and drops databases on it");
  command.add_option("--out", flags->out, "Write the result as JSON into this file")->type_name("FILE");
  command.add_flag("--record", flags->record, "Write the result into the journal of --dbname, for the status page");
  command.callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { compare(*flags, invocation); }; });
}

const RegisterCommand k_compare({.place = 100,
                                 .name = "compare",
                                 .description = "Measure a plan against the naive migration, under traffic, on copies",
                                 .examples = {"ecmigrate compare plan.yaml --rows 50k,500k",
                                              "ecmigrate compare plan.yaml --scratch -d postgres://app@scratch/shop"},
                                 .outcomes = {Outcome::failed, Outcome::plan_invalid, Outcome::cannot_connect,
                                              Outcome::interrupted, Outcome::terminated},
                                 .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
