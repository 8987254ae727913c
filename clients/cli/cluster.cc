#include "clients/cli/cluster.h"

#include <cstdlib>
#include <sstream>

namespace holdfast::cli {

namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string setting(const Arguments& arguments, const char* option, const char* variable,
                    const char* otherwise) {
  const char* environment = std::getenv(variable);
  return arguments.text(option, environment != nullptr ? environment : otherwise);
}

client::Outcome<Duration> timeout_of(const Arguments& arguments) {
  const auto ms = arguments.duration_ms("timeout", 10'000);
  if (!ms.ok()) return client::CallError{ms.error().code, ms.error().message};
  return Duration(std::chrono::milliseconds(*ms));
}

}  // namespace

const std::vector<OptionSpec>& common_options() {
  static const std::vector<OptionSpec> kOptions = {
      {"servers", "HOST:PORT,...",
       "client ports of some servers (HOLDFAST_SERVERS; 127.0.0.1:7411)"},
      {"admin", "HOST:PORT,...", "administration ports (HOLDFAST_ADMIN; 127.0.0.1:7413)"},
      {"timeout", "TIME", "give up after this long (10s)"},
      {"json", nullptr, "print JSON for programs"},
      {"help", nullptr, "explain this command"},
  };
  return kOptions;
}

client::Outcome<std::unique_ptr<Cluster>> Cluster::make(client::ClientOptions options) {
  std::unique_ptr<Cluster> cluster(new Cluster());
  auto core = client::ClientCore::create(cluster->loop_, cluster->entropy_, options);
  if (!core) return core.error();
  cluster->core_ = std::move(*core);
  return cluster;
}

client::Outcome<std::unique_ptr<Cluster>> Cluster::clients(const Arguments& arguments) {
  client::ClientOptions options;
  options.servers = split(setting(arguments, "servers", "HOLDFAST_SERVERS", "127.0.0.1:7411"));
  const auto timeout = timeout_of(arguments);
  if (!timeout) return timeout.error();
  options.call_timeout = *timeout;
  return make(std::move(options));
}

std::vector<std::string> Cluster::admin_addresses(const Arguments& arguments) {
  return split(setting(arguments, "admin", "HOLDFAST_ADMIN", "127.0.0.1:7413"));
}

client::Outcome<std::unique_ptr<Cluster>> Cluster::administration(const Arguments& arguments) {
  client::ClientOptions options;
  options.servers = admin_addresses(arguments);
  options.pool.follow_leader = false;
  const auto timeout = timeout_of(arguments);
  if (!timeout) return timeout.error();
  options.call_timeout = *timeout;
  return make(std::move(options));
}

client::Outcome<std::unique_ptr<Cluster>> Cluster::one(const std::string& address,
                                                       Duration timeout) {
  client::ClientOptions options;
  options.servers = {address};
  options.pool.follow_leader = false;
  options.call_timeout = timeout;
  return make(std::move(options));
}

}  // namespace holdfast::cli
