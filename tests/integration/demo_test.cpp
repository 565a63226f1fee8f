#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <thread>

#include "ecmigrate/report/answers.hpp"
#include "ecmigrate/scene/embedded_server.hpp"
#include "support/catch.hpp"
#include "support/fixtures.hpp"
#include "support/server.hpp"

namespace ecmigrate::test {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Reply {
  int status = 0;
  json body;
};

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// `ecmigrate demo` at work on ports that were free, with what a visitor's page does.
class DemoProcess {
 public:
  explicit DemoProcess(std::vector<std::string> more) : m_more(std::move(more)) { start(); }
  ~DemoProcess() { end(SIGKILL); }
  DemoProcess(const DemoProcess&) = delete;
  DemoProcess& operator=(const DemoProcess&) = delete;

  /// Until the database has been seen.
  void start() {
    std::vector<std::string> words{ECMIGRATE_PROGRAM, "demo", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"};
    words.insert(words.end(), m_more.begin(), m_more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) {
      arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    m_out = temporary_file("", ".out");
    m_pid = fork();
    if (m_pid == 0) {
      const int out = ::open(m_out.c_str(), O_WRONLY | O_APPEND);
      ::dup2(out, STDOUT_FILENO);
      ::dup2(out, STDERR_FILENO);
      execv(arguments[0], arguments.data());
      _exit(99);
    }
    m_page = eventually("the page's address is printed", [this] { return printed("page  "); });
    m_api = printed("api   ");
    eventually("/health is good", [this] { return get("/health", m_api).status == 200; });
  }

  void signal(int number) const { ::kill(m_pid, number); }
  /// Its exit status, or 128 plus the signal that ended it.
  int end(int number) {
    if (m_pid <= 0) {
      return 0;
    }
    signal(number);
    int status = 0;
    ::waitpid(m_pid, &status, 0);
    m_pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  [[nodiscard]] std::string output() const { return text_of(m_out); }
  [[nodiscard]] const std::string& page() const { return m_page; }

  [[nodiscard]] Reply get(const std::string& path, const std::string& origin = {}) const {
    return ask((origin.empty() ? m_page : origin) + path, "GET", "", "");
  }
  [[nodiscard]] Reply post(const std::string& control, const std::string& headers) const {
    return ask(m_page + "/api/demo/" + control, "POST",
               "Content-Type: application/json\r\nX-Ecmigrate: 1\r\n" + headers, "{}");
  }
  [[nodiscard]] Reply press(const std::string& control) const {
    return post(control,
                fmt::format("X-Ecmigrate-Token: {}\r\n", get("/api/demo/token").body.at("token").get<std::string>()));
  }
  /// As it was not before this call: the page's documents are up to a second old.
  [[nodiscard]] json state() const {
    const std::string now = utc_time(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    return eventually("a new state", [&] {
      const json state = get("/api/state").body;
      return state.at("at") > now ? state : json();
    });
  }

  /// Presses when it can be pressed, and waits until it is done. Gives the message then.
  std::string run(const std::string& control) const {
    wait_until_enabled(control);
    const Reply reply = press(control);
    INFO(reply.body.dump());
    REQUIRE(reply.status == 202);
    return wait_until_done();
  }
  std::string wait_until_done() const {
    return eventually("nothing is at work", [this]() -> std::string {
      const json demo = state().at("demo");
      return demo.at("busy").is_null() && demo.at("message").is_object() ? demo.at("message").at("text") : "";
    });
  }
  void wait_until_enabled(const std::string& control) const {
    eventually(control + " can be pressed", [&] {
      const json demo = state().at("demo");
      for (const json& one : demo.at("controls")) {
        if (one.at("name") == control) {
          return one.at("enabled").get<bool>();
        }
      }
      return false;
    });
  }
  /// Members of the two lanes: of the old version, of the new one.
  [[nodiscard]] std::pair<json, json> lanes() const {
    const json lanes = state().at("demo").at("traffic").at("lanes");
    return {lanes.at(0), lanes.at(1)};
  }

  /// What `ask` gives as soon as it is true, or not empty; fails the test after two minutes.
  template <typename Ask>
  std::invoke_result_t<Ask> eventually(const std::string& what, const Ask& ask) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    for (;;) {
      const auto answer = ask();
      if (answer != std::invoke_result_t<Ask>()) {
        return answer;
      }
      if (std::chrono::steady_clock::now() > until || ::waitpid(m_pid, nullptr, WNOHANG) != 0) {
        FAIL("never: " << what << "\n" << output());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

 private:
  [[nodiscard]] std::string printed(const std::string& name) const {
    std::istringstream lines(output());
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(name)) {
        return line.substr(name.size());
      }
    }
    return {};
  }

  /// On a connection of its own; status 0 where no whole answer comes. Not by a program that would have to be started
  /// for it: a page is asked for a hundred times while something goes on.
  static Reply ask(const std::string& url, const std::string& method, const std::string& headers,
                   const std::string& body) {
    static const std::regex parts("http://([0-9.]+):([0-9]+)(/.*)");
    std::smatch part;
    REQUIRE(std::regex_match(url, part, parts));
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{20, 0};
    ::setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(part[2])));
    ::inet_pton(AF_INET, part[1].str().c_str(), &address.sin_addr);
    const std::string request =
        fmt::format("{} {} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n{}", method,
                    part[3].str(), part[1].str(), part[2].str(), body.size(), headers, body);
    std::string answer;
    if (::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::send(client, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
      std::array<char, 16'384> bytes{};
      for (ssize_t got = 0; (got = ::recv(client, bytes.data(), bytes.size(), 0)) > 0;) {
        answer.append(bytes.data(), static_cast<std::size_t>(got));
      }
    }
    ::close(client);
    const std::size_t head = answer.find("\r\n\r\n");
    if (head == std::string::npos) {
      return {0, json::value_t::discarded};
    }
    return {std::stoi(answer.substr(answer.find(' '))), json::parse(answer.substr(head + 4), nullptr, false)};
  }

  std::vector<std::string> m_more;
  std::string m_out;
  std::string m_page;
  std::string m_api;
  pid_t m_pid = -1;
};

/// A place for a server of the demo's own, where the user postgres may go.
class Folder {
 public:
  explicit Folder(const std::string& name) : m_path(fs::path(temporary_file("", ".x")).parent_path() / name) {}
  ~Folder() {
    try {
      remove();
    } catch (const std::exception&) {
      // What went wrong is told by the test.
    }
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void remove() const { scene::EmbeddedServer(m_path).remove(); }
  [[nodiscard]] const fs::path& path() const { return m_path; }
  [[nodiscard]] bool server_runs() const { return fs::exists(m_path / "data" / "postmaster.pid"); }
  [[nodiscard]] std::string ask(const std::string& sql) const {
    pg::Connection connection({scene::EmbeddedServer(m_path).conninfo("shop"), "test", nullptr});
    return connection.query(sql).text(0, 0);
  }

 private:
  fs::path m_path;
};

const std::string k_columns =
    "select string_agg(attname, ' ' order by attnum) from pg_attribute where attrelid = 'public.users'::regclass and "
    "attname ~ '_name$' and not attisdropped";

/// A visitor clicks through all phases. Gives what was wrong with the traffic.
void click_through(const DemoProcess& demo, const Folder& folder) {
  CHECK(demo.press("contract").body.at("error").at("code") == "not_now");
  CHECK(demo.run("expand").starts_with("Expanded."));
  demo.eventually("the new version writes", [&] { return demo.lanes().second.at("requests") > 0; });
  demo.wait_until_enabled("write_old");
  CHECK(demo.press("write_old").status == 200);
  const json written = demo.eventually("it is shown", [&] { return demo.state().at("demo").at("written"); });
  CHECK(written.at("shape") == "old");
  CHECK(written.at("text").get<std::string>().starts_with("insert into users (full_name, "));
  CHECK(written.at("row").at("full_name") == written.at("row").at("first_name").get<std::string>() + " " +
                                                 written.at("row").at("last_name").get<std::string>());

  // Two visitors at once.
  demo.wait_until_enabled("backfill");
  auto other = std::async(std::launch::async, [&] { return demo.press("backfill"); });
  const Reply one = demo.press("backfill");
  const Reply two = other.get();
  const std::map<int, Reply> replies{{one.status, one}, {two.status, two}};
  REQUIRE(replies.size() == 2);
  CHECK(replies.contains(202));
  REQUIRE(replies.contains(409));
  CHECK(replies.at(409).body.at("error").at("code") == "busy");
  CHECK(replies.at(409).body.at("error").at("message").get<std::string>().starts_with(
      "\"Run backfill\" is at work, since "));

  demo.wait_until_enabled("pause");
  CHECK(demo.press("pause").status == 200);
  demo.eventually("it is paused", [&] { return demo.state().at("migration").at("situation") == "paused"; });
  demo.wait_until_enabled("resume");
  CHECK(demo.press("resume").status == 200);
  CHECK(demo.wait_until_done().starts_with("Backfilled."));
  CHECK(
      folder.ask(
          "select string_agg(data->>'text', ' ' order by id) from ecmigrate.events where data->>'type' = 'steered'") ==
      "paused resumed");

  CHECK(demo.run("verify") == "Verified: 0 differences.");
  CHECK(demo.run("stop_old").starts_with("The old version is stopped"));
  CHECK_FALSE(demo.lanes().first.at("running").get<bool>());
  demo.wait_until_enabled("report");
  CHECK(demo.press("report").status == 200);
  CHECK(demo.run("contract").starts_with("Contracted."));
  CHECK(folder.ask(k_columns) == "first_name last_name");
  CHECK(folder.ask("select max(tries) > 1 from ecmigrate.locks where phase = 'contract'") == "t");

  const auto soon = demo.lanes().second.at("requests").get<std::int64_t>();
  demo.eventually("the new version writes on",
                  [&] { return demo.lanes().second.at("requests").get<std::int64_t>() > soon; });
  const auto [old_lane, new_lane] = demo.lanes();
  INFO(demo.state().at("answers").at("application").dump());
  CHECK(old_lane.at("failed") == 0);
  CHECK(new_lane.at("failed") == 0);
  CHECK(demo.state().at("answers").at("application").at("lead").get<std::string>().starts_with("0 failed of "));
}

}  // namespace

TEST_CASE("demo: a visitor clicks through the phases without a failed request, runs the naive way, and begins again") {
  const Folder folder("demo-one");
  DemoProcess demo({"--folder", folder.path(), "--rows", "20000"});
  CHECK(demo.state().at("mode") == "demo");
  CHECK(demo.state().at("migration").at("situation") == "planned");
  CHECK(demo.output().find("demo  20,000 users in a throwaway PostgreSQL in " + folder.path().string()) !=
        std::string::npos);

  // Only the demo's own page may press.
  const std::string token =
      "X-Ecmigrate-Token: " + demo.get("/api/demo/token").body.at("token").get<std::string>() + "\r\n";
  CHECK(demo.post("expand", "").status == 403);
  CHECK(demo.post("expand", "X-Ecmigrate-Token: wrong\r\n").status == 403);
  CHECK(demo.post("expand", token + "Origin: http://elsewhere.example\r\n").status == 403);
  CHECK(demo.post("no_such_control", token).status == 404);
  CHECK(demo.state().at("migration").at("situation") == "planned");

  click_through(demo, folder);

  const std::string said = demo.run("naive");
  CHECK(said.starts_with("The naive way: "));
  const json state = demo.eventually("the comparison is there", [&] {
    const json now = demo.state();
    return now.at("naive").is_null() ? json() : now;
  });
  const json run = state.at("demo").at("naive_run");
  CHECK_FALSE(run.at("running").get<bool>());
  CHECK(run.at("longest_gap_ms").get<double>() >= 0.9 * run.at("held_ms").get<double>());
  const json ours = state.at("naive").at("expand_contract");
  const json naive = state.at("naive").at("naive");
  CHECK(ours.at("failed") == 0);
  CHECK(naive.at("longest_stopping_lock_ms").get<double>() > ours.at("longest_stopping_lock_ms").get<double>());
  CHECK(naive.at("longest_gap_ms").get<double>() > ours.at("locks").back().at("held_ms").get<double>());
  CHECK(ours.at("locks").size() >= 2);
  CHECK(state.at("demo").at("traffic").at("scene") == "naive");
  CHECK(folder.ask("select to_regclass('public.users_naive') is null") == "t");
  CHECK(folder.ask(k_columns) == "first_name last_name");

  CHECK(demo.run("reset").starts_with("Reset"));
  demo.eventually("it is planned again", [&] { return demo.state().at("migration").at("situation") == "planned"; });
  CHECK(folder.ask(k_columns) == "full_name");
  CHECK(demo.state().at("naive").is_null());
  click_through(demo, folder);

  CHECK(demo.end(SIGTERM) == 0);
  CHECK(demo.output().find("0 failed of ") != std::string::npos);
  CHECK(demo.output().find(", 0 lost") != std::string::npos);
  CHECK_FALSE(folder.server_runs());
  folder.remove();
  CHECK_FALSE(fs::exists(folder.path()));
}

TEST_CASE("demo: goes on where it stands after a stop, a kill and a server that went away") {
  const Folder folder("demo-two");
  DemoProcess demo({"--folder", folder.path(), "--rows", "40000"});
  demo.run("expand");
  demo.wait_until_enabled("backfill");
  REQUIRE(demo.press("backfill").status == 202);
  demo.eventually("some is filled",
                  [&] { return folder.ask("select coalesce(sum(batches), 0) > 3 from ecmigrate.windows") == "t"; });
  CHECK(demo.end(SIGTERM) == 0);
  CHECK_FALSE(folder.server_runs());

  demo.start();
  CHECK(demo.state().at("migration").at("state") == "backfilling");
  CHECK(folder.ask("select outcome from ecmigrate.runs order by id desc limit 1") == "terminated");
  demo.eventually("both versions write", [&] {
    const auto [old_lane, new_lane] = demo.lanes();
    return old_lane.at("requests") > 0 && new_lane.at("requests") > 0;
  });
  demo.wait_until_enabled("backfill");
  REQUIRE(demo.press("backfill").status == 202);
  const std::string filled = folder.ask("select coalesce(sum(batches), 0) from ecmigrate.windows");
  demo.eventually("it goes on",
                  [&] { return folder.ask("select sum(batches) > " + filled + " from ecmigrate.windows") == "t"; });
  CHECK(demo.end(SIGKILL) == 128 + SIGKILL);
  CHECK(folder.server_runs());

  demo.start();
  CHECK(demo.run("backfill").starts_with("Backfilled."));
  CHECK(demo.run("verify") == "Verified: 0 differences.");
  demo.run("stop_old");
  CHECK(demo.lanes().second.at("failed") == 0);

  // The old version stays stopped, and comes back with a rollback.
  CHECK(demo.end(SIGTERM) == 0);
  demo.start();
  CHECK(demo.lanes().first.at("requests") == 0);
  demo.wait_until_enabled("contract");
  CHECK(demo.press("write_old").status == 409);
  CHECK(demo.run("rollback").starts_with("Rolled back."));
  CHECK(folder.ask(k_columns) == "full_name");
  demo.eventually("the old version writes", [&] { return demo.lanes().first.at("requests") > 0; });
  CHECK(demo.lanes().first.at("failed") == 0);
  CHECK(demo.lanes().second.at("failed") == 0);

  {
    scene::EmbeddedServer server(folder.path());
    server.stop();
  }
  demo.eventually("the page says so", [&] { return !demo.get("/api/state").body.at("database").at("up").get<bool>(); });
  CHECK(demo.press("expand").status == 503);
  demo.eventually("requests fail", [&] {
    return demo.get("/api/state").body.at("demo").at("traffic").at("lanes").at(0).at("failed") > 0;
  });
  CHECK(demo.end(SIGTERM) == 0);
  demo.start();
  CHECK(demo.run("expand").starts_with("Expanded."));
}

TEST_CASE("demo: takes an empty database of another server, and none with tables that are not its own", "[unicode]") {
  Database database;
  {
    DemoProcess demo({"--dbname", database.conninfo(), "--rows", "2000"});
    CHECK(demo.output().find("demo  2,000 users in ") != std::string::npos);
    CHECK(demo.run("expand").starts_with("Expanded."));
    CHECK(demo.run("naive").starts_with("The naive way: "));
    CHECK(demo.state().at("naive").is_null());  // this run has no other side to compare with
    CHECK(demo.end(SIGTERM) == 0);
  }
  {
    DemoProcess demo({"--dbname", database.conninfo()});
    CHECK(demo.state().at("migration").at("state") == "expanded");
    CHECK(demo.state().at("demo").at("rows") == 2000);
    CHECK(demo.end(SIGTERM) == 0);
  }
  Database others;
  others.exec(k_users);
  const ProgramResult refused = run_program(
      others, {"demo", "--dbname", others.conninfo(), "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"});
  CHECK(refused.status == 7);
  CHECK(refused.err.find("tables that are not the demo's: public.users") != std::string::npos);
  CHECK(others.value("select count(*) from users") == "3002");
}

TEST_CASE("demo: makes its own server's database anew where an earlier program left another") {
  const Folder folder("demo-four");
  {
    scene::EmbeddedServer earlier(folder.path());
    earlier.start();
    pg::Connection({earlier.conninfo("postgres"), "test", nullptr}).query("create database shop");
    pg::Connection({earlier.conninfo("shop"), "test", nullptr}).query("create table users (id int)");
    earlier.stop();
  }
  DemoProcess demo({"--folder", folder.path(), "--rows", "1000"});
  CHECK(demo.run("expand").starts_with("Expanded."));
  CHECK(demo.end(SIGTERM) == 0);
}

TEST_CASE("demo: leaves no server behind when its addresses cannot be") {
  const Folder folder("demo-three");
  Database database;
  const ProgramResult usage =
      run_program(database, {"demo", "--folder", folder.path(), "--rows", "1000", "--listen", "0.0.0.0:0"});
  CHECK(usage.status == 2);
  CHECK(usage.err.find("--token-file") != std::string::npos);
  CHECK_FALSE(folder.server_runs());
}

}  // namespace ecmigrate::test
