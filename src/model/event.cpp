#include "ecmigrate/model/event.hpp"

#include "ecmigrate/base/text.hpp"

namespace ecmigrate {

std::string event::OldUse::shape() const {
  return relation + "." + join(columns, ", ");
}

std::string join_reasons(const std::vector<PauseReason>& reasons) {
  std::string text;
  for (const PauseReason& reason : reasons) {
    text += (text.empty() ? "" : "; ") + reason.text;
  }
  return text;
}

}  // namespace ecmigrate
