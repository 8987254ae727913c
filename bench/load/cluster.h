// Three servers of the bench's own, on loopback, with their data in a temporary directory.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

namespace holdfast::bench {

class Cluster {
 public:
  /// Starts `servers` processes of `program`. Ends the bench with a message if that fails.
  Cluster(const std::string& program, int servers);
  /// Kills the servers and removes their data.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  std::vector<std::string> addresses() const;
  double total_cpu_seconds() const;
  int64_t total_memory_bytes() const;
  /// Of all servers, to their files.
  int64_t total_written_bytes() const;
  /// By client address.
  void signal(const std::string& address, int number) const;
  /// Kills with SIGKILL and waits for the end.
  void kill(const std::string& address);
  void restart(const std::string& address);
  /// Starts a server without state, which waits to be added, and returns its address.
  std::string start_another(const std::string& member);
  /// A member adds a server that answers: it has the state when it is ready().
  void add(const std::string& address, const std::string& member);
  /// Asks with SIGTERM and waits for the end.
  void stop(const std::string& address);
  bool answers(const std::string& address) const;
  /// It is part of the cluster and has caught up: its /ready says so.
  bool ready(const std::string& address) const;
  /// A thread of low priority runs, or waits for the disk: a snapshot is written, or a copy made.
  bool works_behind(const std::string& address) const;
  int64_t resident_bytes(const std::string& address) const;
  /// Of all its files.
  int64_t disk_bytes(const std::string& address) const;
  /// Overwrites the snapshot of a server that is stopped.
  void destroy_snapshot(const std::string& address) const;
  const std::string& admin(const std::string& address) const { return get(address).admin; }
  const std::string& directory() const { return directory_; }

 private:
  struct Node {
    int id = 0;
    std::string client, peer, admin, http, data;
    std::vector<std::string> founding;  ///< flags: how it comes to its first configuration
    pid_t pid = 0;
  };
  Node& place(const std::string* addresses);
  void start(Node& node);
  Node& find(const std::string& address);
  const Node& get(const std::string& address) const;

  std::string program_;
  std::string directory_;
  std::vector<Node> nodes_;
};

}  // namespace holdfast::bench
