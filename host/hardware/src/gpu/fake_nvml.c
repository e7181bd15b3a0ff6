/* Answers as NVML does (nvml.h, R550), for tests on machines without a GPU: two devices of one model, one of another,
 * and one that fell off the bus. Calls that are not here are calls that the driver lacks.
 * -DHANG: initialising never returns. -DSLOW: it takes 300 ms. -DLOST_ONCE: the first question after the first initialising finds no driver. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };

typedef struct { unsigned index; } *device_t;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;
typedef struct { unsigned gpu, memory; } utilization_t;

static struct { unsigned index; } devices[4] = {{0}, {1}, {2}, {3}};
static const char *names[4] = {"Fake A", "Fake A", "Fake B", ""};

int nvmlInit_v2(void) {
#ifdef HANG
    for (;;) pause();
#endif
#ifdef SLOW
    usleep(300000);
#endif
    return SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { snprintf(text, length, "550.54.15"); return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) {
#ifdef LOST_ONCE
    /* In the environment, because unloading the library resets its variables. */
    static const char *name = "HYPERMESH_FAKE_NVML_LOST";
    extern char *getenv(const char *);
    extern int setenv(const char *, const char *, int);
    if (!getenv(name)) { setenv(name, "1", 1); return DRIVER_NOT_LOADED; }
#endif
    *count = 4;
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device) {
    if (index >= 4) return INVALID_ARGUMENT;
    if (index == 3) return GPU_IS_LOST;
    *device = (device_t)&devices[index];
    return SUCCESS;
}
int nvmlDeviceGetName(device_t device, char *text, unsigned length) {
    snprintf(text, length, "%s", names[device->index]);
    return SUCCESS;
}
int nvmlDeviceGetUUID(device_t device, char *text, unsigned length) {
    snprintf(text, length, "GPU-%u", device->index);
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(device_t device, memory_v2_t *memory) {
    memory->total = 16ull << 30;
    memory->reserved = 1ull << 28;
    memory->used = 1ull << 30;
    memory->free = memory->total - memory->reserved - memory->used;
    return device->index == 2 ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetMinorNumber(device_t device, unsigned *minor) { *minor = 10 + device->index; return SUCCESS; }
int nvmlDeviceGetPciInfo_v3(device_t device, pci_t *pci) {
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x65 + device->index;
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus);
    return SUCCESS;
}
int nvmlDeviceGetArchitecture(device_t device, unsigned *architecture) { (void)device; *architecture = 9; return SUCCESS; }
int nvmlDeviceGetUtilizationRates(device_t device, utilization_t *rates) {
    rates->gpu = 37 + device->index;
    rates->memory = 5;
    return SUCCESS;
}
