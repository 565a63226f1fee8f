#pragma once

#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ecmigrate/planfile/planfile.hpp"

namespace ecmigrate {

/// The forms in which `check` says what is wrong with plans.
enum class CheckFormat { text, json, github, gitlab, junit, sarif };

inline constexpr std::array<std::pair<std::string_view, CheckFormat>, 6> k_check_formats{{
    {"text", CheckFormat::text},
    {"json", CheckFormat::json},
    {"github", CheckFormat::github},
    {"gitlab", CheckFormat::gitlab},
    {"junit", CheckFormat::junit},
    {"sarif", CheckFormat::sarif},
}};

/// Everything about the plans as one document that ends in a newline; text and github are empty where nothing is wrong.
/// Where a format wants paths that begin at the root of the repository, they are written as seen from `folder`, an
/// absolute path.
std::string check_document(CheckFormat format, std::span<const PlanCheck> plans, const std::filesystem::path& folder);

/// What JSON lines say of one plan: the members of an event::Document.
std::string check_members(const PlanCheck& plan);

/// "2 complaints in 1 of 3 plans", or "3 plans are right".
std::string check_summary(std::span<const PlanCheck> plans);

}  // namespace ecmigrate
