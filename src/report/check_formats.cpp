#include "ecmigrate/report/check_formats.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "ecmigrate/base/text.hpp"
#include "ecmigrate/base/utf8.hpp"

namespace ecmigrate {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

/// File names need not be UTF-8; JSON and XML have to be.
std::string dump(const Json& json, int indent = 2) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string_view rule_id(const PlanComplaint& complaint) {
  return plan_rule_row(complaint.rule).id;
}

std::string with_hint(const PlanComplaint& complaint) {
  return complaint.hint.empty() ? complaint.message : fmt::format("{}\nhint: {}", complaint.message, complaint.hint);
}

/// As seen from the folder, where the file is below it; without `.` and `..`.
std::string path_from(const fs::path& folder, const std::string& file) {
  const fs::path whole = (folder / file).lexically_normal();
  const fs::path below = whole.lexically_relative(folder.lexically_normal());
  return below.empty() || *below.begin() == ".." ? whole.generic_string() : below.generic_string();
}

/// The same complaint has the same one in every run, wherever its line has moved to; no two of a run have the same.
class Fingerprints {
 public:
  std::string of(const std::string& path, const PlanComplaint& complaint) {
    const std::string what = path + '\0' + std::string(rule_id(complaint)) + '\0' + complaint.message;
    return fmt::format("{:016x}", stable_hash(what + '\0' + std::to_string(++m_seen[what])));
  }

 private:
  std::map<std::string, int> m_seen;
};

// ── text: as the program's other errors

/// A file's name could otherwise carry escape sequences into the terminal.
std::string harmless(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    const std::size_t size = std::max<std::size_t>(1, character.size);
    out += character.size > 0 && is_printable(character.code) ? text.substr(at, size) : "?";
    at += size;
  }
  return out;
}

std::string text_document(std::span<const PlanCheck> plans) {
  std::string out;
  for (const PlanCheck& plan : plans) {
    for (const PlanComplaint& complaint : plan.complaints) {
      out += harmless(complaint_text(plan.file, complaint)) + "\n";
    }
  }
  return out;
}

// ── json: our own

Json number_or_null(int number) {
  return number > 0 ? Json(number) : Json();
}

Json json_complaint(const PlanCheck& plan, const PlanComplaint& complaint) {
  return {{"path", plan.file},
          {"line", number_or_null(complaint.at.line)},
          {"column", number_or_null(complaint.at.column)},
          {"rule", rule_id(complaint)},
          {"message", complaint.message},
          {"hint", complaint.hint}};
}

std::string json_document(std::span<const PlanCheck> plans) {
  Json out = Json::array();
  for (const PlanCheck& plan : plans) {
    for (const PlanComplaint& complaint : plan.complaints) {
      out.push_back(json_complaint(plan, complaint));
    }
  }
  return dump(out) + "\n";
}

// ── github: "Workflow commands for GitHub Actions", setting an error message; what is escaped, and how, is
// `escapeData` and `escapeProperty` of actions/toolkit, packages/core/src/command.ts

std::string escaped_for_github(std::string_view text, bool property) {
  std::string out;
  for (const char c : text) {
    if (c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','))) {
      out += fmt::format("%{:02X}", c);
    } else {
      out += c;
    }
  }
  return out;
}

std::string github_document(std::span<const PlanCheck> plans, const fs::path& folder) {
  std::string out;
  for (const PlanCheck& plan : plans) {
    for (const PlanComplaint& complaint : plan.complaints) {
      out += "::error file=" + escaped_for_github(path_from(folder, plan.file), true);
      if (complaint.at.line > 0) {
        out += fmt::format(",line={},col={}", complaint.at.line, complaint.at.column);
      }
      const std::string title = fmt::format("ecmigrate check ({})", rule_id(complaint));
      out += fmt::format(",title={}::{}\n", escaped_for_github(title, true),
                         escaped_for_github(with_hint(complaint), false));
    }
  }
  return out;
}

// ── gitlab: GitLab's documentation, "Code Quality", "Code Quality report format"

std::string gitlab_document(std::span<const PlanCheck> plans, const fs::path& folder) {
  Fingerprints fingerprints;
  Json out = Json::array();
  for (const PlanCheck& plan : plans) {
    const std::string path = path_from(folder, plan.file);
    for (const PlanComplaint& complaint : plan.complaints) {
      out.push_back({{"description", with_hint(complaint)},
                     {"check_name", fmt::format("ecmigrate-{}", rule_id(complaint))},
                     {"fingerprint", fingerprints.of(path, complaint)},
                     {"severity", "major"},
                     {"location", {{"path", path}, {"lines", {{"begin", std::max(1, complaint.at.line)}}}}}});
    }
  }
  return dump(out) + "\n";
}

// ── junit: the XML Schema of JUnit reports in Jenkins' xUnit plugin, junit-10.xsd; what a document may hold:
// "Extensible Markup Language (XML) 1.0", 2.2 Characters and 2.4 Character Data and Markup

bool is_xml_character(char32_t code) {
  return code == U'\t' || code == U'\n' || code == U'\r' || (code >= 0x20U && code != 0xFFFEU && code != 0xFFFFU);
}

/// For text and for values of attributes in double quotes, in which white space has to be escaped to last.
std::string xml(std::string_view text, bool attribute) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    const std::size_t size = std::max<std::size_t>(1, character.size);
    if (character.size == 0 || !is_xml_character(character.code)) {
      out += "\uFFFD";
    } else if (character.code == U'&') {
      out += "&amp;";
    } else if (character.code == U'<') {
      out += "&lt;";
    } else if (character.code == U'>') {
      out += "&gt;";
    } else if (character.code == U'"') {
      out += "&quot;";
    } else if (character.code == U'\r' || (attribute && (character.code == U'\n' || character.code == U'\t'))) {
      out += fmt::format("&#{};", static_cast<int>(character.code));
    } else {
      out += text.substr(at, size);
    }
    at += size;
  }
  return out;
}

std::string junit_document(std::span<const PlanCheck> plans) {
  const auto wrong = std::ranges::count_if(plans, [](const PlanCheck& plan) { return !plan.complaints.empty(); });
  const std::string counts = fmt::format(R"(tests="{}" failures="{}" errors="0")", plans.size(), wrong);
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"ecmigrate check\" {0}>\n"
      "  <testsuite name=\"ecmigrate check\" {0} skipped=\"0\" time=\"0\">\n",
      counts);
  for (const PlanCheck& plan : plans) {
    const std::string file = xml(plan.file, true);
    out += fmt::format(R"(    <testcase classname="ecmigrate check" name="{0}" file="{0}" time="0")", file);
    if (plan.complaints.empty()) {
      out += "/>\n";
      continue;
    }
    // One for all complaints, as some readers look at the first alone.
    std::string texts;
    for (const PlanComplaint& complaint : plan.complaints) {
      texts += complaint_text(plan.file, complaint) + "\n";
    }
    const PlanComplaint& first = plan.complaints.front();
    const std::size_t more = plan.complaints.size() - 1;
    out += fmt::format(">\n      <failure message=\"{}\" type=\"{}\">{}</failure>\n    </testcase>\n",
                       xml(more == 0 ? first.message : fmt::format("{} (and {} more)", first.message, more), true),
                       rule_id(first), xml(texts, false));
  }
  return out + "  </testsuite>\n</testsuites>\n";
}

// ── sarif: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; what GitHub wants of it beyond
// that: "SARIF support for code scanning"

/// A path as a URI reference: RFC 3986, 2.3 Unreserved Characters and 4.2 Relative Reference.
std::string uri(const std::string& path) {
  std::string out = path.starts_with('/') ? "file://" : "";
  for (const char c : path) {
    const bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      std::string_view("-._~/").find(c) != std::string_view::npos;
    out += kept ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Json sarif_result(const std::string& path, const PlanComplaint& complaint, const std::string& fingerprint) {
  Json region{{"startLine", std::max(1, complaint.at.line)}};
  if (complaint.at.line > 0) {
    region["startColumn"] = complaint.at.column;
  }
  return {{"ruleId", rule_id(complaint)},
          {"ruleIndex", static_cast<int>(complaint.rule)},
          {"level", "error"},
          {"message", {{"text", with_hint(complaint)}}},
          {"locations",
           Json::array({{{"physicalLocation", {{"artifactLocation", {{"uri", uri(path)}}}, {"region", region}}}}})},
          {"partialFingerprints", {{"complaint/v1", fingerprint}}}};
}

std::string sarif_document(std::span<const PlanCheck> plans, const fs::path& folder) {
  Json rules = Json::array();
  for (const PlanRuleRow& row : k_plan_rules) {
    rules.push_back({{"id", row.id},
                     {"shortDescription", {{"text", row.meaning}}},
                     {"defaultConfiguration", {{"level", "error"}}}});
  }
  Fingerprints fingerprints;
  Json results = Json::array();
  for (const PlanCheck& plan : plans) {
    const std::string path = path_from(folder, plan.file);
    for (const PlanComplaint& complaint : plan.complaints) {
      results.push_back(sarif_result(path, complaint, fingerprints.of(path, complaint)));
    }
  }
  const Json driver{{"name", "ecmigrate"}, {"version", ECMIGRATE_VERSION}, {"rules", std::move(rules)}};
  const Json run{{"tool", {{"driver", driver}}},
                 {"columnKind", "unicodeCodePoints"},
                 {"invocations", Json::array({{{"executionSuccessful", true}}})},
                 {"results", std::move(results)}};
  return dump({{"$schema", "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"},
               {"version", "2.1.0"},
               {"runs", Json::array({run})}}) +
         "\n";
}

std::string counted(std::size_t number, std::string_view one, std::string_view several) {
  return fmt::format("{} {}", number, number == 1 ? one : several);
}

}  // namespace

std::string check_document(CheckFormat format, std::span<const PlanCheck> plans, const fs::path& folder) {
  switch (format) {
    case CheckFormat::text:
      return text_document(plans);
    case CheckFormat::json:
      return json_document(plans);
    case CheckFormat::github:
      return github_document(plans, folder);
    case CheckFormat::gitlab:
      return gitlab_document(plans, folder);
    case CheckFormat::junit:
      return junit_document(plans);
    case CheckFormat::sarif:
      return sarif_document(plans, folder);
  }
  return {};
}

std::string check_members(const PlanCheck& plan) {
  Json complaints = Json::array();
  for (const PlanComplaint& complaint : plan.complaints) {
    complaints.push_back(json_complaint(plan, complaint));
  }
  return dump({{"path", plan.file},
               {"migration", plan.migration},
               {"ok", plan.complaints.empty()},
               {"complaints", std::move(complaints)}},
              -1);
}

std::string check_summary(std::span<const PlanCheck> plans) {
  std::size_t complaints = 0;
  std::size_t wrong = 0;
  for (const PlanCheck& plan : plans) {
    complaints += plan.complaints.size();
    wrong += plan.complaints.empty() ? 0 : 1;
  }
  return wrong == 0 ? counted(plans.size(), "plan is right", "plans are right")
                    : fmt::format("{} in {} of {}", counted(complaints, "complaint", "complaints"), wrong,
                                  counted(plans.size(), "plan", "plans"));
}

}  // namespace ecmigrate
