#pragma once

#include <memory>

#include "ecmigrate/model/event.hpp"

namespace ecmigrate {

/// In a step of GitHub Actions: hands events on, and with the result of a command that changes a database appends what
/// it did, as Markdown, to the file that GITHUB_STEP_SUMMARY names. Elsewhere it is `next` itself. A file that cannot
/// be written is a warning, never a failure.
std::unique_ptr<Observer> with_step_summary(std::unique_ptr<Observer> next);

}  // namespace ecmigrate
