#include <nlohmann/json.hpp>

#include "access.hpp"
#include "api.hpp"
#include "secrets.hpp"

namespace ecmigrate::serve {

namespace {

constexpr std::string_view k_folder = "/api/demo/";

bool is_json(const httplib::Request& request) {
  const std::string type = request.get_header_value("Content-Type");
  return type.substr(0, type.find(';')) == "application/json";
}

}  // namespace

void add_controls(Routes& routes, Controls& controls) {
  // Only a page of ours can read the token, and only who has it can press: another site's page can do neither.
  const std::string token = random_hex(16);
  routes["/api/demo/token"].get = [token](const httplib::Request& request, httplib::Response& response) {
    if (comes_from_elsewhere(request)) {
      return refuse(response, {403, "forbidden", "this is for the page of this server only", ""});
    }
    answer_json(response, 200, nlohmann::ordered_json{{"token", token}}.dump());
  };
  routes[std::string(k_folder)].post = [token, &controls](const httplib::Request& request,
                                                          httplib::Response& response) {
    if (!is_json(request)) {
      return refuse(response, {415, "not_json", "the body has to be JSON, and the Content-Type application/json", ""});
    }
    const bool ours = request.get_header_value("X-Ecmigrate") == "1" &&
                      is_secret(request.get_header_value("X-Ecmigrate-Token"), token);
    if (!ours || comes_from_elsewhere(request)) {
      return refuse(response, {403, "forbidden", "this is for the page of this server only", "Load the page again."});
    }
    const Controls::Answer answer = controls.post(request.path.substr(k_folder.size()), request.body);
    answer_json(response, answer.status, answer.body);
  };
}

}  // namespace ecmigrate::serve
