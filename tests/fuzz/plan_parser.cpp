// The plan parser under texts that nobody would write: it may complain of them, and do nothing else. Starts from the
// plans of a folder, which it changes, joins and cuts. Sanitizers say what is wrong; a text that brings the program
// down is left in the file whose name is printed at the begin.
//
//   plan_parser CORPUS SECONDS [SEED]

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "ecmigrate/base/error.hpp"
#include "ecmigrate/planfile/planfile.hpp"

namespace {

using Random = std::mt19937_64;

constexpr std::size_t k_longest = 20'000;

/// Words and signs on which the reader or the YAML below it decide.
const std::vector<std::string> k_words{"name: ",
                                       "operations:",
                                       "  - ",
                                       "table: ",
                                       "columns: [",
                                       "]",
                                       "{ ",
                                       " }",
                                       ": ",
                                       "\n",
                                       "\t",
                                       "\"",
                                       "'",
                                       "|",
                                       ">-",
                                       "&a ",
                                       "*a",
                                       "<<: *a",
                                       "!!binary ",
                                       "!!int ",
                                       "? ",
                                       "~",
                                       "null",
                                       "true",
                                       "0x10",
                                       "1e999",
                                       "-1",
                                       "9223372036854775808",
                                       "#",
                                       "---\n",
                                       "...\n",
                                       "%YAML 1.2\n",
                                       "\\u0000",
                                       "\xEF\xBB\xBF",
                                       "\xFF",
                                       "\xC3",
                                       "\xF4\x8F\xBF\xBF",
                                       "\xED\xA0\x80",
                                       std::string(1, '\0'),
                                       "split_column",
                                       "alter_column",
                                       "sql",
                                       "up",
                                       "down",
                                       "into",
                                       "references",
                                       "backfill",
                                       "windows",
                                       "22:00-06:00",
                                       "max_wal_rate",
                                       "64MB/s",
                                       std::string(300, '['),
                                       std::string(300, '{'),
                                       std::string(80, 'x')};

std::size_t below(Random& random, std::size_t end) {
  return end == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
}

/// A place where a line begins, more often than not.
std::size_t place(Random& random, const std::string& text) {
  const std::size_t at = below(random, text.size() + 1);
  const std::size_t line = text.find('\n', at);
  return below(random, 3) == 0 || line == std::string::npos ? at : line + 1;
}

void change(Random& random, std::string& text, const std::string& other) {
  const std::size_t at = place(random, text);
  switch (below(random, 7)) {
    case 0:
      text.insert(at, k_words[below(random, k_words.size())]);
      break;
    case 1:
      text.erase(at, below(random, 1 + below(random, 60)));
      break;
    case 2:
      if (at < text.size()) {
        text[at] = static_cast<char>(below(random, 256));
      }
      break;
    case 3:
      text.insert(at, other.substr(place(random, other), below(random, 200)));
      break;
    case 4:
      text.insert(at, text.substr(place(random, text), below(random, 200)));
      break;
    case 5:
      text.resize(at);
      break;
    default:
      text.insert(at, std::string(1 + below(random, 4), ' '));
  }
  text.resize(std::min(text.size(), k_longest));
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Whether it was read as a plan.
bool parse(const std::string& text) {
  try {
    const ecmigrate::Plan plan = ecmigrate::parse_plan(text, "fuzz.yaml");
    // What is kept of a plan says the same when it is read again.
    const ecmigrate::Plan again = ecmigrate::parse_plan(text, "fuzz.yaml");
    if (plan.canonical != again.canonical) {
      throw std::logic_error("the same text gives two plans");
    }
    return true;
  } catch (const ecmigrate::Error& error) {
    if (error.outcome() != ecmigrate::Outcome::plan_invalid) {
      throw;
    }
    return false;
  }
}

/// A text that is no plan has complaints, and none of a plan is about reading it.
void check(const std::filesystem::path& file, bool is_plan) {
  const std::vector<std::string> files{file.string()};
  const ecmigrate::PlanCheck checked = ecmigrate::check_plans(files).front();
  const bool unread = std::ranges::any_of(checked.complaints, [](const ecmigrate::PlanComplaint& complaint) {
    return complaint.rule != ecmigrate::PlanRule::operations;
  });
  if (unread == is_plan) {
    throw std::logic_error("check and the reader disagree");
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    fmt::print(stderr, "plan_parser CORPUS SECONDS [SEED]\n");
    return 2;
  }
  std::vector<std::string> corpus;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(arguments[1])) {
    if (entry.is_regular_file()) {
      corpus.push_back(read(entry.path()));
    }
  }
  if (corpus.empty()) {
    fmt::print(stderr, "{} has no plan\n", arguments[1]);
    return 2;
  }
  for (const std::string& text : corpus) {
    parse(text);
  }
  const std::uint64_t seed = count > 3 ? std::stoull(arguments[3]) : std::random_device{}();
  const std::filesystem::path last = std::filesystem::temp_directory_path() / fmt::format("plan-parser-{}.yaml", seed);
  fmt::print("seed {}, the text at work is in {}\n", seed, last.string());
  std::fflush(stdout);
  Random random(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::stoi(arguments[2]));
  std::int64_t texts = 0;
  std::int64_t plans = 0;
  while (std::chrono::steady_clock::now() < end) {
    std::string text = corpus[below(random, corpus.size())];
    const std::string& other = corpus[below(random, corpus.size())];
    for (std::size_t changes = 1 + below(random, 6); changes > 0; --changes) {
      change(random, text, other);
    }
    std::ofstream(last, std::ios::binary) << text;
    ++texts;
    const bool is_plan = parse(text);
    check(last, is_plan);
    plans += is_plan ? 1 : 0;
  }
  std::filesystem::remove(last);
  fmt::print("{} texts, {} of them plans\n", texts, plans);
  return plans > 0 ? 0 : 1;
}
