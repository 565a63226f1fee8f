#include "ecmigrate/serve/journal_content.hpp"

namespace ecmigrate::serve {

JournalContent::JournalContent(pg::Target, Hub&, JournalContentOptions) {}
std::optional<std::string> JournalContent::state(const std::string&) { return "{}"; }
std::optional<std::string> JournalContent::series(const std::string&, int) { return "{}"; }
std::optional<std::string> JournalContent::events(const std::string&, std::int64_t, int) { return "{}"; }
std::optional<std::string> JournalContent::locks(const std::string&) { return "{}"; }
std::string JournalContent::metrics() { return {}; }
Health JournalContent::health() { return {}; }
void JournalContent::look(const std::string&) {}

}  // namespace ecmigrate::serve
