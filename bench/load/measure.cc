#include "bench/load/measure.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace holdfast::bench {

nlohmann::json Latencies::summary() {
  std::sort(ns_.begin(), ns_.end());
  const auto at = [&](double share) {
    if (ns_.empty()) return 0.0;
    const auto index = static_cast<size_t>(share * static_cast<double>(ns_.size() - 1));
    return static_cast<double>(ns_[index]) / 1000.0;
  };
  return {{"count", ns_.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}, {"max_us", at(1)}};
}

double cpu_seconds(pid_t pid) {
  std::ifstream in(pid == 0 ? "/proc/self/stat" : "/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  // The name in parentheses may hold anything; what is counted begins behind it, with field 3.
  const size_t behind = line.rfind(')');
  if (behind == std::string::npos) return 0;
  std::istringstream fields(line.substr(behind + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

void add_rates(nlohmann::json& result, size_t operations, double seconds,
               std::pair<double, double> cpu_spent, bool servers_known) {
  const auto [servers, generator] = cpu_spent;
  const double each = 1e6 / std::max<double>(1, static_cast<double>(operations));
  result["seconds"] = seconds;
  result["per_second"] = static_cast<double>(operations) / seconds;
  result["generator_cpu_us_per_operation"] = generator * each;
  result["generator_cpu_cores"] = generator / seconds;
  if (!servers_known) return;
  result["servers_cpu_us_per_operation"] = servers * each;
  result["servers_cpu_cores"] = servers / seconds;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

void progress(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

void fail(const std::string& why) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, why.c_str());
  std::exit(1);
}

}  // namespace holdfast::bench
