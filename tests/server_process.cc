#include "tests/server_process.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "server/host/cpu_budget.h"
#include "server/ops/freed_memory.h"
#include "server/server.h"

namespace attention {
namespace {

[[noreturn]] void ServeUntilTold(const std::function<std::string()>& serve, int address, int life) {
  const std::string text = serve();
  if (write(address, text.data(), text.size()) < 0) std::abort();
  char end = 0;
  while (read(life, &end, 1) > 0) {
  }
  std::_Exit(0);
}

}  // namespace

ServerProcess::ServerProcess(const std::function<std::string()>& serve) {
  int address[2], life[2];
  if (pipe(address) != 0 || pipe(life) != 0) std::abort();
  pid_ = fork();
  if (pid_ == 0) {
    close(life[1]);
    ServeUntilTold(serve, address[1], life[0]);
  }
  close(life[0]);
  close(address[1]);
  life_ = life[1];
  char text[256] = {};
  if (read(address[0], text, sizeof(text) - 1) <= 0) std::abort();
  close(address[0]);
  address_ = text;
}

ServerProcess::~ServerProcess() {
  close(life_);
  waitpid(pid_, nullptr, 0);
}

std::string Serve(const ServerOptions& options) {
  ops::KeepFreedMemory(engine::CpuBudget());
  static const auto server = Server::Start(options);
  if (!server.ok()) std::abort();
  return (*server)->address();
}

double ServerProcess::CpuSeconds() const {
  clockid_t clock = 0;
  if (clock_getcpuclockid(pid_, &clock) != 0) std::abort();
  return Seconds(clock);
}

double Seconds(clockid_t clock) {
  timespec time = {};
  if (clock_gettime(clock, &time) != 0) std::abort();
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace attention
