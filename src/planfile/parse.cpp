#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <vector>

#include "canonical.hpp"
#include "check.hpp"
#include "complaints.hpp"
#include "document.hpp"
#include "ecmigrate/base/error.hpp"
#include "ecmigrate/base/text.hpp"
#include "ecmigrate/base/utf8.hpp"
#include "ecmigrate/op/kind.hpp"
#include "ecmigrate/planfile/planfile.hpp"
#include "fields.hpp"
#include "operations.hpp"

namespace ecmigrate {

namespace {

using planfile::Checker;
using planfile::in_quotes;
using planfile::Node;
using Kind = Value::Kind;

constexpr std::size_t k_longest_name = 100;

std::string kind_hint(const std::string& word) {
  std::vector<std::string_view> names;
  std::ranges::transform(operation_kinds(), std::back_inserter(names), [](const auto* kind) { return kind->name; });
  const auto near = planfile::near_word(word, names);
  return near ? planfile::did_you_mean(near) : fmt::format("The kinds are {}.", fmt::join(names, ", "));
}

/// An operation whose fields slid out of it: their kind is a key beside them.
void complain_of_several_keys(const Node& item, Checker& checker) {
  const Node::Member& first = item.members[0];
  const Node::Member& second = item.members[1];
  checker.add(second.at, fmt::format("an operation has one key, its kind; this one has {}", item.members.size()),
              first.value.kind == Kind::null
                  ? fmt::format("Indent {} further than {}.", in_quotes(second.key), in_quotes(first.key))
                  : "Start each operation with its own \"- \".");
}

void read_operation(const Node& item, Checker& checker, std::vector<PlannedOperation>& out) {
  const std::string path(planfile::k_operations);
  if (!checker.expect(item, Kind::map, path, "An operation is a map with one key, its kind.")) {
    return;
  }
  if (item.members.empty() && !item.has_bad_keys) {
    checker.add(item.at, "an operation has one key, its kind; this one has none");
  }
  const bool has_several = item.members.size() > 1;
  if (has_several) {
    complain_of_several_keys(item, checker);
  }
  for (const Node::Member& member : item.members) {
    const OperationKind* kind = find_operation_kind(member.key);
    if (kind != nullptr && !(has_several && member.value.kind == Kind::null)) {
      const int number = static_cast<int>(out.size()) + 1;
      out.push_back({member.key, checker.object(member.value, kind->fields, member.key), member.at, number});
    } else if (kind == nullptr && !has_several) {
      checker.add(member.at, fmt::format("unknown operation {}", in_quotes(member.key)), kind_hint(member.key));
    }
  }
}

std::vector<PlannedOperation> read_operations(const Node& node, Checker& checker) {
  std::vector<PlannedOperation> out;
  const std::string path(planfile::k_operations);
  if (!checker.expect(node, Kind::list, path)) {
    return out;
  }
  if (node.items.empty()) {
    checker.add(node.at, path + ": the list is empty");
  }
  for (const Node& item : node.items) {
    read_operation(item, checker, out);
  }
  return out;
}

PaceLimits to_backfill(const Value& fields, Checker& checker) {
  PaceLimits limits;
  const auto set = [&](PaceLimits& out, const std::string& name, const Value& value) {
    if (value.kind != Kind::scalar) {
      return;  // the checker has complained
    }
    if (const std::string wrong = set_limit(out, name, value.scalar); !wrong.empty()) {
      checker.add(value.at, fmt::format("backfill.{}: {}", name, wrong));
    }
  };
  for (const auto& [name, value] : fields.members) {
    set(limits, name, value);
    for (const Value& item : value.items) {  // of the windows, each of which has a place of its own
      PaceLimits one;
      set(one, name, item);
      limits.windows.insert(limits.windows.end(), one.windows.begin(), one.windows.end());
    }
  }
  return limits;
}

void check_name(const std::string& name, Location at, Checker& checker) {
  const std::string_view hint = at.line == 0 ? "Rename the file, or give the plan a \"name\"." : "";
  const bool has_control = std::ranges::any_of(
      name, [](char c) { return static_cast<unsigned char>(c) < 0x20U || static_cast<unsigned char>(c) == 0x7FU; });
  if (name.empty() && at.line == 0) {
    checker.add(at, "the migration has no name", std::string(hint));
  } else if (name.size() > k_longest_name) {
    checker.add(at,
                fmt::format("the migration's name has {} bytes, at most {} are allowed", name.size(), k_longest_name),
                std::string(hint));
  } else if (has_control || !is_utf8(name)) {
    checker.add(at, "the migration's name contains a control character or is not valid UTF-8", std::string(hint));
  }
}

/// Everything but the operations is an ordinary field.
Plan to_plan(const Node& root, Checker& checker) {
  Plan plan;
  Value top;
  checker.keys(root, planfile::plan_fields(), "");
  for (const Node::Member& member : root.members) {
    const Field* field = planfile::find_field(planfile::plan_fields(), member.key);
    if (field == nullptr) {
      continue;
    }
    if (field->name == planfile::k_operations) {
      plan.operations = read_operations(member.value, checker);
    } else {
      top.members.push_back({member.key, checker.value(member.value, *field, member.key)});
    }
  }
  plan.name = top.text("name");
  plan.description = top.text("description");
  plan.schema = top.text("schema", planfile::k_default_schema);
  plan.deterministic = top.flag("deterministic", true);
  if (const Value* backfill = top.find("backfill")) {
    plan.backfill = to_backfill(*backfill, checker);
  }
  if (const Value* name = top.find("name"); name != nullptr && name->kind == Kind::scalar) {
    check_name(plan.name, name->at, checker);
  }
  return plan;
}

/// The text, or nothing and the reason. One byte more than is allowed is enough to be refused, and endless files
/// (/dev/zero) end.
std::optional<std::string> text_of(const std::string& path, std::string& reason) {
  constexpr std::size_t k_most = planfile::k_most_bytes + 1;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  std::string text(file ? k_most : 0, '\0');
  if (file) {
    text.resize(std::fread(text.data(), 1, k_most, file.get()));
  }
  if (!file || std::ferror(file.get()) != 0) {
    reason = std::generic_category().message(errno);
    return std::nullopt;
  }
  return text;
}

struct Reading {
  Plan plan;
  Location name_at;  ///< nowhere for a name that is the file's
};

/// What the text says, as far as it can be understood; what is wrong with it goes to the complaints.
Reading read_text(const planfile::Source& source, const std::string& schema, planfile::Complaints& complaints) {
  Reading out;
  const std::optional<Node> root = planfile::read_document(source, complaints);
  if (!root) {
    return out;
  }
  complaints.begin(PlanRule::fields);
  if (root->kind == Kind::null) {
    complaints.add({}, "the plan is empty", "Start one with `ecmigrate new NAME`.");
    return out;
  }
  Checker checker(complaints);
  if (checker.expect(*root, Kind::map, "", "A plan has at least the key \"operations\".")) {
    out.plan = to_plan(*root, checker);
  }
  out.plan.file = source.file();
  const auto name = std::ranges::find(root->members, "name", &Node::Member::key);
  if (name != root->members.end()) {
    out.name_at = name->value.at;
  } else {
    out.plan.name = std::filesystem::path(source.file()).stem().string();
    check_name(out.plan.name, {}, checker);
  }
  if (!schema.empty()) {
    out.plan.schema = schema;
  }
  return out;
}

/// Whether both are the same file, however they are written.
bool same_file(const std::string& one, const std::string& other) {
  std::error_code unknown;
  return one == other || (std::filesystem::equivalent(one, other, unknown) && !unknown);
}

}  // namespace

Plan read_plan(const std::string& path, const std::string& schema) {
  std::string reason;
  const std::optional<std::string> text = text_of(path, reason);
  if (!text) {
    throw Error(Outcome::usage, fmt::format("cannot read {}: {}", path, reason), "Give the path of a plan file.");
  }
  return parse_plan(*text, path, schema);
}

Plan parse_plan(std::string_view text, const std::string& file, const std::string& schema) {
  const planfile::Source source(text, file);
  planfile::Complaints complaints(source);
  Plan plan = read_text(source, schema, complaints).plan;
  complaints.raise();
  plan.canonical = planfile::canonical_text(plan);
  return plan;
}

std::vector<PlanCheck> check_plans(std::span<const std::string> files, const std::string& schema) {
  std::vector<PlanCheck> checks;
  for (const std::string& file : files) {
    if (std::ranges::any_of(checks, [&](const PlanCheck& other) { return same_file(other.file, file); })) {
      continue;
    }
    std::string reason;
    const std::optional<std::string> text = text_of(file, reason);
    if (!text) {
      checks.push_back({file, {}, {{PlanRule::file, {}, "cannot be read: " + reason, {}, {}}}});
      continue;
    }
    const planfile::Source source(*text, file);
    planfile::Complaints complaints(source);
    const Reading reading = read_text(source, schema, complaints);
    if (complaints.empty()) {
      complaints.begin(PlanRule::operations);
      planfile::check_operations(reading.plan, complaints);
    }
    const auto namesake = std::ranges::find(checks, reading.plan.name, &PlanCheck::migration);
    if (!reading.plan.name.empty() && namesake != checks.end()) {
      complaints.begin(PlanRule::name);
      complaints.add(reading.name_at,
                     fmt::format("{} has the name {}, too", namesake->file, in_quotes(reading.plan.name)),
                     "A name means one migration: give each plan one of its own.");
    }
    checks.push_back({file, reading.plan.name, complaints.list()});
  }
  return checks;
}

}  // namespace ecmigrate
