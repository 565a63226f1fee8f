#include "ecmigrate/model/event.hpp"

namespace ecmigrate {

std::string join_reasons(const std::vector<PauseReason>& reasons) {
  std::string text;
  for (const PauseReason& reason : reasons) {
    text += (text.empty() ? "" : "; ") + reason.text;
  }
  return text;
}

}  // namespace ecmigrate
