/*  tide_options.c - a program's options, from one table.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_options.h"

#include "tide_alloc.h"
#include "tide_wire.h"

#include <ctype.h>
#include <czmq.h>
#include <inttypes.h>
#include <sys/mman.h>

/*  A configuration file is a page or two; what is much larger is something else. */
#define FILE_SIZE_MAX (1 << 20)

const char *tide_version (void)
{
    return TIDE_VERSION;
}

typedef struct {
    const tide_program_t *program;
    uint8_t *target;
    tide_buffer_t text;  /* the complaint, if there is one */
    unsigned source;     /* which source is being read: a later one replaces a LIST whole */
    unsigned *source_of; /* per option: the source that filled its LIST */
} reading_t;

__attribute__ ((format (printf, 2, 3))) static bool refuse (reading_t *self, const char *format,
                                                            ...)
{
    char line[600];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (line, sizeof line, format, arguments);
    va_end (arguments);
    /*  What others wrote is repeated in it; the promise is one line. */
    for (char *at = line; *at; at++)
        if (iscntrl ((unsigned char) *at))
            *at = '?';
    tide_buffer_printf (&self->text, "%s: %s\n", self->program->program, line);
    return false;
}

static const tide_option_t *find (const tide_option_t *table, const char *name, size_t size)
{
    for (const tide_option_t *option = table; option->name; option++)
        if (strlen (option->name) == size && memcmp (option->name, name, size) == 0)
            return option;
    return NULL;
}

/*  -- values ---------------------------------------------------------------------------------- */

static bool parse_number (const char *value, uint64_t *number)
{
    if (!isdigit ((unsigned char) value[0]))
        return false;
    char *end;
    errno = 0;
    uintmax_t parsed = strtoumax (value, &end, 10);
    *number = (uint64_t) parsed;
    return errno == 0 && *end == 0 && parsed <= UINT64_MAX;
}

static bool parse_switch (const char *value, bool *on)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (unsigned at = 0; at < 4; at++) {
        if (strcmp (value, yes[at]) == 0 || strcmp (value, no[at]) == 0) {
            *on = strcmp (value, yes[at]) == 0;
            return true;
        }
    }
    return false;
}

static int parse_choice (const char *choices, const char *value)
{
    size_t size = strlen (value);
    int number = 0;
    for (const char *at = choices;; number++) {
        size_t word = strcspn (at, "|");
        if (word == size && memcmp (at, value, size) == 0)
            return number;
        if (at[word] == 0)
            return -1;
        at += word + 1;
    }
}

static void list_clear (char **list)
{
    for (char **item = list; *item; item++) {
        free (*item);
        *item = NULL;
    }
}

static void list_add (char ***list, const char *value)
{
    size_t count = 0;
    while ((*list)[count])
        count++;
    *list = tide_realloc (*list, (count + 2) * sizeof **list);
    (*list)[count] = tide_copy (value, strlen (value));
    (*list)[count + 1] = NULL;
}

/*  Stores one value. `where` names the option as the user wrote it. */
static bool store (reading_t *self, const tide_option_t *option, const char *where,
                   const char *value)
{
    uint8_t *member = self->target + option->offset;
    size_t at = (size_t) (option - self->program->table);
    switch (option->kind) {
    case TIDE_OPTION_LATER:
        if (where[0] != '-')
            return refuse (self, "%s: --%s is not available in this version", where, option->name);
        return refuse (self, "--%s is not available in this version", option->name);
    case TIDE_OPTION_TEXT:
        if (value[0] == 0)
            return refuse (self, "%s needs a value, %s", where, option->value);
        free (*(char **) (void *) member);
        *(char **) (void *) member = tide_copy (value, strlen (value));
        return true;
    case TIDE_OPTION_LIST:
        if (value[0] == 0)
            return refuse (self, "%s needs a value, %s", where, option->value);
        if (self->source_of[at] != self->source) {
            list_clear (*(char ***) (void *) member);
            self->source_of[at] = self->source;
        }
        list_add ((char ***) (void *) member, value);
        return true;
    case TIDE_OPTION_SWITCH:
        if (parse_switch (value, (bool *) (void *) member))
            return true;
        return refuse (self, "%s is true or false, not \"%s\"", where, value);
    case TIDE_OPTION_CHOICE:
        *(int *) (void *) member = parse_choice (option->value, value);
        if (*(int *) (void *) member >= 0)
            return true;
        return refuse (self, "%s is one of %s, not \"%s\"", where, option->value, value);
    case TIDE_OPTION_NUMBER:
        break;
    }
    uint64_t number = 0;
    if (!parse_number (value, &number) || number < option->min || number > option->max)
        return refuse (self, "%s is a number from %" PRIu64 " to %" PRIu64 ", not \"%s\"", where,
                       option->min, option->max, value);
    *(uint64_t *) (void *) member = number;
    return true;
}

static void set_defaults (reading_t *self)
{
    for (const tide_option_t *option = self->program->table; option->name; option++) {
        uint8_t *member = self->target + option->offset;
        if (option->kind == TIDE_OPTION_CHOICE)
            *(int *) (void *) member = -1;
        if (option->kind == TIDE_OPTION_LIST)
            *(char ***) (void *) member = tide_alloc (sizeof (char *));
        if (option->standard) {
            bool is_right = store (self, option, option->name, option->standard);
            tide_assert (is_right);
        }
    }
}

void tide_options_free (const tide_option_t *table, void *target)
{
    for (const tide_option_t *option = table; option->name; option++) {
        uint8_t *member = (uint8_t *) target + option->offset;
        if (option->kind == TIDE_OPTION_TEXT) {
            free (*(char **) (void *) member);
            *(char **) (void *) member = NULL;
        }
        char ***list = (char ***) (void *) member;
        if (option->kind == TIDE_OPTION_LIST && *list) {
            list_clear (*list);
            free (*list);
            *list = NULL;
        }
    }
}

/*  -- the file -------------------------------------------------------------------------------- */

/*  CZMQ's parser says what is wrong on standard output, with a time in front: it is caught there,
 *  and becomes part of our own line. */
static zconfig_t *parse (zchunk_t *content, char *complaint, size_t room)
{
    complaint[0] = 0;
    fflush (stdout);
    int kept = dup (STDOUT_FILENO);
    int caught = memfd_create ("complaint", MFD_CLOEXEC);
    if (caught >= 0)
        dup2 (caught, STDOUT_FILENO);
    zconfig_t *root = zconfig_chunk_load (content);
    fflush (stdout);
    if (kept >= 0) {
        dup2 (kept, STDOUT_FILENO);
        close (kept);
    }
    else if (caught >= 0)
        close (STDOUT_FILENO);
    if (caught >= 0) {
        ssize_t size = pread (caught, complaint, room - 1, 0);
        complaint[size > 0 ? size : 0] = 0;
        complaint[strcspn (complaint, "\n")] = 0;
        close (caught);
    }
    return root;
}

/*  As "line 3: invalid syntax" from "26-11-20 22:31:59 E (zconfig): (3) invalid syntax". */
static void tidy (char *complaint, size_t room)
{
    static const char begin[] = "(zconfig): (";
    const char *at = strstr (complaint, begin);
    unsigned line;
    int size = 0;
    if (!at || sscanf (at + sizeof begin - 1, "%u) %n", &line, &size) != 1 || size == 0)
        return;
    char *rest = tide_copy (at + sizeof begin - 1 + size, strlen (at + sizeof begin - 1 + size));
    snprintf (complaint, room, "line %u: %s", line, rest);
    free (rest);
}

static const char *why_unreadable (const char *path)
{
    FILE *file = fopen (path, "re");
    if (!file)
        return strerror (errno);
    struct stat about;
    const char *why = NULL;
    if (fstat (fileno (file), &about) != 0)
        why = strerror (errno);
    else if (S_ISDIR (about.st_mode))
        why = "it is a directory";
    else if (about.st_size > FILE_SIZE_MAX)
        why = "it is larger than 1 MiB";
    fclose (file);
    return why;
}

static bool read_entry (reading_t *self, const char *path, zconfig_t *entry)
{
    const char *name = zconfig_name (entry);
    const char *value = zconfig_value (entry);
    const tide_option_t *option = find (self->program->table, name, strlen (name));
    if (!option || option->is_flag_only || zconfig_child (entry))
        return refuse (self, "%s: unknown option \"%s\"", path, name);
    char where[400];
    snprintf (where, sizeof where, "%s: %s", path, name);
    /*  One file may serve several programs: what is another's is left to it. */
    if (!(option->programs & self->program->bit))
        return true;
    return store (self, option, where, value ? value : "");
}

static bool read_file (reading_t *self, const char *path)
{
    const char *why = why_unreadable (path);
    if (why)
        return refuse (self, "cannot read --config %s: %s", path, why);
    zchunk_t *content = zchunk_slurp (path, FILE_SIZE_MAX);
    if (!content)
        return refuse (self, "cannot read --config %s", path);
    char complaint[300];
    zconfig_t *root = parse (content, complaint, sizeof complaint);
    zchunk_destroy (&content);
    if (!root) {
        tidy (complaint, sizeof complaint);
        return refuse (self, "--config %s: %s", path, complaint[0] ? complaint : "not readable");
    }
    bool is_right = true;
    for (zconfig_t *entry = zconfig_child (root); entry && is_right; entry = zconfig_next (entry))
        is_right = read_entry (self, path, entry);
    zconfig_destroy (&root);
    return is_right;
}

/*  -- the environment ------------------------------------------------------------------------- */

static const char *environment (const char *name, char where[64])
{
    size_t size = (size_t) snprintf (where, 64, "TIDEMARK_%s", name);
    for (size_t at = 0; at < size; at++)
        where[at] = where[at] == '-' ? '_' : (char) toupper ((unsigned char) where[at]);
    const char *value = getenv (where);
    return value && value[0] ? value : NULL;
}

static bool read_environment (reading_t *self)
{
    for (const tide_option_t *option = self->program->table; option->name; option++) {
        if (option->is_flag_only || !(option->programs & self->program->bit))
            continue;
        char where[64];
        const char *value = environment (option->name, where);
        if (!value)
            continue;
        if (option->kind != TIDE_OPTION_LIST) {
            if (!store (self, option, where, value))
                return false;
            continue;
        }
        char *copy = tide_copy (value, strlen (value));
        char *rest = copy;
        bool is_right = true;
        for (char *item = strsep (&rest, ","); item && is_right; item = strsep (&rest, ","))
            is_right = store (self, option, where, item);
        free (copy);
        if (!is_right)
            return false;
    }
    return true;
}

/*  -- flags ----------------------------------------------------------------------------------- */

/*  Takes the flag argv[*at] and its value. */
static bool read_flag (reading_t *self, int argc, char *const argv[], int *at)
{
    const char *flag = argv[*at];
    size_t size = strcspn (flag, "=");
    const tide_option_t *option = NULL;
    if (flag[1] == '-')
        option = find (self->program->table, flag + 2, size - 2);
    if (!option)
        return refuse (self, "unknown option %.*s; see --help", (int) size, flag);
    if (!(option->programs & self->program->bit))
        return refuse (self, "--%s is not an option of this program; see --help", option->name);
    char where[64];
    snprintf (where, sizeof where, "--%s", option->name);
    if (flag[size] == '=')
        return store (self, option, where, flag + size + 1);
    if (option->kind == TIDE_OPTION_SWITCH)
        return store (self, option, where, "true");
    if (option->kind == TIDE_OPTION_LATER)
        return store (self, option, where, "");
    if (*at + 1 >= argc)
        return refuse (self, "%s needs a value, %s", where, option->value);
    return store (self, option, where, argv[++*at]);
}

/*  Whether argv[at], an option, takes the argument behind it: needed before anything is stored. */
static bool takes_next (const tide_program_t *program, const char *flag)
{
    size_t size = strcspn (flag, "=");
    if (flag[size] == '=' || flag[1] != '-')
        return false;
    if (program->has_file && strcmp (flag, "--config") == 0)
        return true;
    const tide_option_t *option = find (program->table, flag + 2, size - 2);
    return option && option->kind != TIDE_OPTION_SWITCH && option->kind != TIDE_OPTION_LATER;
}

static bool is_option (const char *argument)
{
    return argument[0] == '-' && argument[1] != 0;
}

/*  The value of --config, or NULL: a later source may not name the file, so it is looked up first.
 *  False if it stands there without a value. */
static bool find_file (reading_t *self, int argc, char *const argv[], const char **path)
{
    char where[64];
    *path = self->program->has_file ? environment ("config", where) : NULL;
    for (int at = 1; at < argc && self->program->has_file; at++) {
        if (strcmp (argv[at], "--") == 0)
            return true;
        if (strncmp (argv[at], "--config=", 9) == 0)
            *path = argv[at] + 9;
        else if (strcmp (argv[at], "--config") == 0) {
            if (at + 1 >= argc)
                return refuse (self, "--config needs a value, FILE");
            *path = argv[at + 1];
        }
        if (is_option (argv[at]) && takes_next (self->program, argv[at]))
            at++;
    }
    return true;
}

static bool read_flags (reading_t *self, int argc, char *const argv[], char **arguments)
{
    const tide_program_t *program = self->program;
    unsigned count = 0;
    bool has_ended = false;
    for (int at = 1; at < argc; at++) {
        if (!has_ended && strcmp (argv[at], "--") == 0)
            has_ended = true;
        else if (has_ended || !is_option (argv[at])) {
            if (count >= program->arguments_max)
                return refuse (self, "unexpected argument \"%s\"; see --help", argv[at]);
            arguments[count++] = argv[at];
        }
        else if (program->has_file && strncmp (argv[at], "--config", 8) == 0
                 && (argv[at][8] == '=' || argv[at][8] == 0))
            at += argv[at][8] == 0;
        else if (!read_flag (self, argc, argv, &at))
            return false;
    }
    if (count < program->arguments_min)
        return refuse (self, "an argument is missing: %s %s", program->program, program->arguments);
    return true;
}

/*  -- help ------------------------------------------------------------------------------------ */

static void describe (tide_buffer_t *out, const tide_option_t *option)
{
    char head[80];
    bool has_value = option->kind != TIDE_OPTION_SWITCH;
    snprintf (head, sizeof head, "--%s%s%s", option->name, has_value ? " " : "",
              has_value ? option->value : "");
    tide_buffer_printf (out, "  %-32s%s%s", head,
                        strlen (head) > 31 ? "\n                                  " : "",
                        option->help);
    if (option->kind == TIDE_OPTION_LIST)
        tide_buffer_append_text (out, "; may be repeated");
    if (option->otherwise)
        tide_buffer_printf (out, " (%s)", option->otherwise);
    else if (option->standard && has_value)
        tide_buffer_printf (out, " (%s)", option->standard);
    tide_buffer_append_text (out, "\n");
}

static void help (const tide_program_t *program, tide_buffer_t *out)
{
    tide_buffer_printf (out, "%s %s\n\n%s\n\nOptions:\n", program->program, program->arguments,
                        program->about);
    for (const tide_option_t *option = program->table; option->name; option++) {
        if (!(option->programs & program->bit) || option->kind == TIDE_OPTION_LATER)
            continue;
        describe (out, option);
    }
    if (program->has_file)
        tide_buffer_printf (out, "  %-32s%s\n", "--config FILE",
                            "a ZPL file of options: name = value, without the dashes");
    tide_buffer_printf (out, "  %-32s%s\n", "--help", "say this");
    tide_buffer_printf (out, "  %-32s%s\n", "--version", "say the version");
    if (program->has_file) {
        tide_buffer_append_text (out, "\nA flag wins over the environment, where --some-name is "
                                      "TIDEMARK_SOME_NAME, and that over the file.\n");
        return;
    }
    for (const tide_option_t *option = program->table; option->name; option++) {
        char where[64];
        environment (option->name, where);
        if (!option->is_flag_only)
            tide_buffer_printf (out, "\n--%s may also be given in the environment, as %s.\n",
                                option->name, where);
    }
}

static bool is_asked (const tide_program_t *program, int argc, char *const argv[], const char *flag)
{
    for (int at = 1; at < argc && strcmp (argv[at], "--") != 0; at++) {
        if (strcmp (argv[at], flag) == 0)
            return true;
        if (is_option (argv[at]) && takes_next (program, argv[at]))
            at++;
    }
    return false;
}

/*  -- all of it ------------------------------------------------------------------------------- */

static bool read_sources (reading_t *self, int argc, char *const argv[], char **arguments)
{
    size_t count = 0;
    while (self->program->table[count].name)
        count++;
    self->source_of = tide_alloc ((count + 1) * sizeof *self->source_of);
    const char *path;
    self->source = 1;
    set_defaults (self);
    bool is_right = find_file (self, argc, argv, &path);
    self->source = 2;
    is_right = is_right && (!path || read_file (self, path));
    self->source = 3;
    is_right = is_right && read_environment (self);
    self->source = 4;
    is_right = is_right && read_flags (self, argc, argv, arguments);
    free (self->source_of);
    return is_right;
}

tide_options_outcome_t tide_options_read (const tide_program_t *program, int argc,
                                          char *const argv[], void *target, char ***arguments,
                                          char **text)
{
    reading_t self = {.program = program, .target = target};
    *arguments = tide_alloc (((size_t) argc + 1) * sizeof **arguments);
    tide_options_outcome_t outcome = TIDE_OPTIONS_READY;
    if (is_asked (program, argc, argv, "--help")) {
        help (program, &self.text);
        outcome = TIDE_OPTIONS_TOLD;
    }
    else if (is_asked (program, argc, argv, "--version")) {
        tide_buffer_printf (&self.text, "tidemark %s\n", tide_version ());
        outcome = TIDE_OPTIONS_TOLD;
    }
    else if (!read_sources (&self, argc, argv, *arguments))
        outcome = TIDE_OPTIONS_BAD;
    *text = self.text.size > 0 ? tide_copy (self.text.data, self.text.size) : NULL;
    tide_buffer_free (&self.text);
    return outcome;
}
