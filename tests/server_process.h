#ifndef ATTENTION_TESTS_SERVER_PROCESS_H_
#define ATTENTION_TESTS_SERVER_PROCESS_H_

#include <sys/types.h>

#include <ctime>
#include <functional>
#include <string>

#include "server/options.h"

namespace attention {

// A server in a process of its own, so that its CPU time can be told from the client's; ends with
// this object. To be made before this process has any threads, since it forks.
class ServerProcess {
 public:
  // `serve` runs in the new process: starts what is to stay there and returns its address.
  explicit ServerProcess(const std::function<std::string()>& serve);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  const std::string& address() const { return address_; }
  // CPU seconds that it has taken, of all its threads.
  double CpuSeconds() const;

 private:
  pid_t pid_ = -1;
  int life_ = -1;  // closed, it ends the process
  std::string address_;
};

// Starts a server that stays until the process ends; returns its address. For ServerProcess.
std::string Serve(const ServerOptions& options);

// What `clock` shows, in seconds.
double Seconds(clockid_t clock);

}  // namespace attention

#endif  // ATTENTION_TESTS_SERVER_PROCESS_H_
