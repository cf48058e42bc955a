#include "server/ops/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/ops/line_rate.h"

namespace attention::ops {
namespace {

constexpr const char* kNames[] = {"debug", "info", "warning", "error"};

std::atomic<Severity> least_severity = Severity::kInfo;

// `text`, cut between two characters where it is too long.
std::string Cut(const std::string& text) {
  constexpr size_t kMostBytes = 2048;
  if (text.size() <= kMostBytes) return text;
  size_t end = kMostBytes;
  const auto continues = [&](size_t i) { return (static_cast<unsigned char>(text[i]) >> 6) == 2; };
  while (end > kMostBytes - 3 && continues(end)) --end;
  return text.substr(0, end) + "...";
}

// The same for all texts of a value, and lists cut after 16 elements.
nlohmann::ordered_json Cut(const nlohmann::ordered_json& value) {
  constexpr size_t kMostElements = 16;
  if (value.is_string()) return Cut(value.get_ref<const std::string&>());
  if (!value.is_array()) return value;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& element : value) {
    if (list.size() == kMostElements) {
      list.push_back("...");
      break;
    }
    list.push_back(Cut(element));
  }
  return list;
}

std::string LineOf(Severity severity, absl::string_view event,
                   const nlohmann::ordered_json& fields) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone());
  line["severity"] = absl::AsciiStrToUpper(kNames[static_cast<int>(severity)]);
  line["event"] = std::string(event);
  for (const auto& [name, value] : fields.items()) line[name] = Cut(value);
  // Bytes that are no UTF-8 are replaced rather than thrown at.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// Writes lines to standard error, on a thread of its own. The lock guards what waits to be written;
// lines are made and written without it, and no other lock is taken under it.
class LineWriter {
 public:
  // The only one, which lives as long as the process: what is destroyed last may still log.
  static LineWriter& Get() {
    static auto* const writer = [] {
      std::atexit(&FlushLog);
      return new LineWriter;
    }();
    return *writer;
  }

  void Add(absl::string_view line) {
    {
      const absl::MutexLock lock(&mutex_);
      if (waiting_.size() + line.size() > kMostWaitingBytes) {
        ++lost_;
        return;
      }
      waiting_.append(line.data(), line.size());
      added_bytes_ += line.size();
    }
    changed_.Signal();
  }

  void Flush() {
    const Clock::time_point end = Clock::now() + std::chrono::seconds(1);
    const absl::MutexLock lock(&mutex_);
    const size_t bytes = added_bytes_;
    while (done_bytes_ < bytes) {
      const absl::Duration left = absl::FromChrono(end - Clock::now());
      if (left <= absl::ZeroDuration()) return;
      written_.WaitWithTimeout(&mutex_, left);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr size_t kMostWaitingBytes = 1 << 20;

  LineWriter() {
    std::thread([this] { Work(); }).detach();
  }

  [[noreturn]] void Work() ABSL_LOCKS_EXCLUDED(mutex_) {
    // Where nobody reads any more, a write fails rather than end the process.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    std::string lines;
    mutex_.Lock();
    for (;;) {
      while (waiting_.empty()) changed_.Wait(&mutex_);
      lines.clear();
      lines.swap(waiting_);
      const size_t bytes = lines.size();
      const int64_t lost = std::exchange(lost_, 0);
      mutex_.Unlock();
      if (lost > 0) lines += LineOf(Severity::kWarning, "log_lines_lost", {{"count", lost}});
      const absl::string_view rest = WriteAll(lines);
      mutex_.Lock();
      lost_ += std::count(rest.begin(), rest.end(), '\n');
      done_bytes_ += bytes;
      written_.SignalAll();
    }
  }

  // What could not be written.
  static absl::string_view WriteAll(absl::string_view text) {
    while (!text.empty()) {
      const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
      if (written >= 0) {
        text.remove_prefix(static_cast<size_t>(written));
      } else if (errno == EAGAIN) {
        pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
        poll(&room, 1, /*timeout=*/1000);
      } else if (errno != EINTR) {
        break;
      }
    }
    return text;
  }

  absl::Mutex mutex_;
  absl::CondVar changed_, written_;
  std::string waiting_ ABSL_GUARDED_BY(mutex_);     // lines
  int64_t lost_ ABSL_GUARDED_BY(mutex_) = 0;        // lines
  size_t added_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // since the process began
  size_t done_bytes_ ABSL_GUARDED_BY(mutex_) = 0;   // of them, written or given up
};

Severity FromGrpc(gpr_log_severity severity) {
  switch (severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return Severity::kDebug;
    case GPR_LOG_SEVERITY_INFO:
      return Severity::kInfo;
    default:
      return Severity::kWarning;  // what gRPC calls an error is mostly some peer's
  }
}

void OnGrpcLog(gpr_log_func_args* line) {
  const absl::string_view text = line->message;
  // Of EndConnections, which closes the door before gRPC does.
  if (text == "Failed accept4: Invalid argument") return;
  const auto fields = [&]() -> nlohmann::ordered_json {
    return {{"file", line->file}, {"line", line->line}, {"message", std::string(text)}};
  };
  // The last words before it ends the process.
  if (absl::StartsWith(text, "assertion failed")) {
    Log(Severity::kError, "grpc", fields());
    return FlushLog();
  }
  static LineRate rate;  // any client can make it speak
  LogAtRate(rate, FromGrpc(line->severity), "grpc", fields);
}

void OnProtobufLog(google::protobuf::LogLevel /*level*/, const char* file, int line,
                   const std::string& message) {
  if (!IsLogged(Severity::kDebug)) return;
  Log(Severity::kDebug, "protobuf", {{"file", file}, {"line", line}, {"message", message}});
}

}  // namespace

void LogLibraries() {
  gpr_set_log_function(&OnGrpcLog);
  google::protobuf::SetLogHandler(&OnProtobufLog);
}

std::optional<Severity> ParseSeverity(absl::string_view text) {
  for (const Severity severity :
       {Severity::kDebug, Severity::kInfo, Severity::kWarning, Severity::kError}) {
    if (text == kNames[static_cast<int>(severity)]) return severity;
  }
  return std::nullopt;
}

void SetLogLevel(Severity least) { least_severity = least; }

bool IsLogged(Severity severity) { return severity >= least_severity; }

void Log(Severity severity, absl::string_view event, const nlohmann::ordered_json& fields) {
  if (IsLogged(severity)) LineWriter::Get().Add(LineOf(severity, event, fields));
}

void FlushLog() { LineWriter::Get().Flush(); }

}  // namespace attention::ops
