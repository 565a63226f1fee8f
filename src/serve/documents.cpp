#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "api.hpp"

namespace ecmigrate::serve {

namespace {

/// A whole number in the query; nothing: it is none, or out of its range.
template <typename Number>
std::optional<Number> number_in(const httplib::Request& request, const char* name, Number fallback, Number least,
                                Number most) {
  if (!request.has_param(name)) {
    return fallback;
  }
  const std::string text = request.get_param_value(name);
  Number number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good =
      read.ec == std::errc() && read.ptr == text.data() + text.size() && number >= least && number <= most;
  return good ? std::optional(number) : std::nullopt;
}

void answer(httplib::Response& response, const std::optional<std::string>& document) {
  if (!document) {
    return refuse(response,
                  {404, "not_found", "there is no migration of that name", "/api/state lists those that there are."});
  }
  answer_json(response, 200, *document);
}

void refuse_number(httplib::Response& response, const std::string& what) {
  refuse(response, {400, "bad_request", what, ""});
}

void answer_state(Content& content, const httplib::Request& request, httplib::Response& response) {
  const auto document = content.state(request.get_param_value("m"));
  const std::string etag = document ? etag_of(*document) : std::string();
  if (document) {
    response.set_header("ETag", etag);
  }
  if (document && client_has(request, etag)) {
    response.status = 304;
    response.set_header("Cache-Control", "no-store");
    return;
  }
  answer(response, document);
}

void answer_series(Content& content, const httplib::Request& request, httplib::Response& response) {
  const auto points = number_in(request, "points", 720, 1, 720);
  points ? answer(response, content.series(request.get_param_value("m"), *points))
         : refuse_number(response, "points is a number from 1 to 720");
}

void answer_events(Content& content, const httplib::Request& request, httplib::Response& response) {
  const auto before = number_in<std::int64_t>(request, "before", 0, 0, INT64_MAX);
  const auto limit = number_in(request, "limit", 50, 1, 500);
  if (!before || !limit) {
    return refuse_number(response, "before is the id of an event, limit a number from 1 to 500");
  }
  answer(response, content.events(request.get_param_value("m"), *before, *limit));
}

void answer_health(Content& content, bool in_full, httplib::Response& response) {
  const Health health = content.health();
  nlohmann::ordered_json document{{"ok", health.database_up},
                                  {"database", health.database_up ? "up" : "down"},
                                  {"age_ms", std::llround(health.age_ms)}};
  if (!health.database_up && in_full) {
    document["error"] = health.error;
  }
  answer_json(response, health.database_up ? 200 : 503,
              document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

/// Says that somebody looks, then answers.
Handler looking(Content& content, void (*answer_with)(Content&, const httplib::Request&, httplib::Response&)) {
  return [&content, answer_with](const httplib::Request& request, httplib::Response& response) {
    content.look(request.get_param_value("m"));
    answer_with(content, request, response);
  };
}

}  // namespace

void add_documents(Routes& routes, Content& content, const Access& access, const ServerMetrics& metrics) {
  routes["/api/state"].get = looking(content, answer_state);
  routes["/api/series"].get = looking(content, answer_series);
  routes["/api/events"].get = looking(content, answer_events);
  routes["/api/locks"].get =
      looking(content, [](Content& from, const httplib::Request& request, httplib::Response& response) {
        answer(response, from.locks(request.get_param_value("m")));
      });
  // Whoever watches the server has no token for it as a rule; what libpq says of the database is not for everybody.
  routes["/health"] = {.get =
                           [&](const httplib::Request& request, httplib::Response& response) {
                             content.look({});
                             answer_health(content, access.may_read(request), response);
                           },
                       .post = {},
                       .open = true};
  routes["/metrics"].get = [&](const httplib::Request&, httplib::Response& response) {
    content.look({});
    response.status = 200;
    response.set_header("Cache-Control", "no-store");
    response.set_content(content.metrics() + metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
  };
  if (access.needs_token()) {
    routes["/api/session"] = {.get = {},
                              .post =
                                  [&access](const httplib::Request& request, httplib::Response& response) {
                                    if (!access.brings_token(request) || comes_from_elsewhere(request)) {
                                      return refuse(response, {401, "token_needed", "this is not the server's token",
                                                               "Open the page as /#TOKEN."});
                                    }
                                    response.status = 204;
                                    response.set_header("Cache-Control", "no-store");
                                    response.set_header("Set-Cookie", access.session_cookie());
                                  },
                              .open = true};
  }
}

}  // namespace ecmigrate::serve
