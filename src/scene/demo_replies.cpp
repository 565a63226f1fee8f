#include "demo_replies.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "demo_traffic.hpp"
#include "ecmigrate/report/answers.hpp"

namespace ecmigrate::scene {

namespace {

std::string dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

serve::Controls::Answer done(int status, const std::string& text) {
  return {status, dump({{"ok", true}, {"text", text}})};
}

serve::Controls::Answer refused(int status, const std::string& code, const std::string& message,
                                const std::string& hint) {
  return {status, dump({{"error", {{"code", code}, {"message", message}, {"hint", hint}}}})};
}

serve::Controls::Answer busy_with(const std::string& what, Instant since) {
  return refused(409, "busy", fmt::format("{} is at work, since {}", what, clock_time(since, wall_clock())),
                 "One thing at a time: wait until it is done.");
}

}  // namespace ecmigrate::scene
