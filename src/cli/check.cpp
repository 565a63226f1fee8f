#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "command.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "ecmigrate/report/check_formats.hpp"
#include "output.hpp"

namespace ecmigrate {

namespace {

struct CheckFlags {
  std::vector<std::string> files;
  std::string format;  ///< empty where it was not given
};

CheckFormat format_of(const std::string& word) {
  const auto* const row = std::ranges::find(k_check_formats, word, &std::pair<std::string_view, CheckFormat>::first);
  return row == k_check_formats.end() ? CheckFormat::text : row->second;
}

void check(const CheckFlags& flags, Invocation& invocation) {
  const bool lines = invocation.flags.report.json;
  if (lines && !flags.format.empty()) {
    throw Error(Outcome::usage, "--json and --format exclude each other",
                "--json gives a line for each plan and the result, --format json one document.");
  }
  const CheckFormat format = format_of(flags.format);
  const std::vector<PlanCheck> plans = check_plans(flags.files, invocation.flags.schema);
  const std::string summary = check_summary(plans);
  if (lines) {
    for (const PlanCheck& plan : plans) {
      invocation.observer.on(event::Document{"check", check_members(plan)});
    }
  } else {
    print_whole(check_document(format, plans, std::filesystem::current_path()));
    invocation.printed_document = format != CheckFormat::text;
    if (invocation.printed_document && !invocation.flags.report.quiet) {
      fmt::print(stderr, "{}\n", summary);
    }
  }
  if (std::ranges::any_of(plans, [](const PlanCheck& plan) { return !plan.complaints.empty(); })) {
    throw Error(Outcome::plan_invalid, summary);
  }
  invocation.result.message = summary;
  invocation.result.hint = "Tables, columns and SQL are the server's to check: `ecmigrate plan` asks it.";
  if (plans.size() == 1) {
    invocation.result.next = command_line(invocation.flags, "plan", plans.front().file);
  }
}

void add_to(CLI::App& command, ChosenCommand& chosen) {
  const auto flags = std::make_shared<CheckFlags>();
  std::vector<std::string> formats;
  for (const auto& [word, format] : k_check_formats) {
    formats.emplace_back(word);
  }
  command.add_option("file", flags->files, "The plan files")->required()->type_name("FILE");
  command.add_option("--format", flags->format, "How complaints are written; default text")
      ->type_name("FORMAT")
      ->check(CLI::IsMember(formats));
  command.callback([&chosen, flags] { chosen = [flags](Invocation& invocation) { check(*flags, invocation); }; });
}

const RegisterCommand k_check({.place = 65,
                               .name = "check",
                               .description = "Check plan files as far as that goes without a database",
                               .examples = {"ecmigrate check plan.yaml",
                                            "ecmigrate check --format github plans/*.yaml"},
                               .outcomes = {Outcome::failed, Outcome::plan_invalid},
                               .add_to = add_to});

}  // namespace

}  // namespace ecmigrate
