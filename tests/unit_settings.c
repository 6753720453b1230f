/* SPDX-License-Identifier: MIT */
/* How a mode, a model or an option is set, over all the shapes in which agents
 * offer them. */
#include <check.h>
#undef fail /* check's old name, ours in base/err.h */
#include <stdlib.h>
#include <string.h>

#include "worker/settings.h"

/* what sessions offer */
#define CONFIG "{\"configOptions\":[" \
	"{\"id\":\"m\",\"category\":\"model\",\"type\":\"select\"," \
	"\"currentValue\":\"small\",\"options\":[{\"value\":\"small\"}," \
	"{\"value\":\"large\"}]}," \
	"{\"id\":\"mode\",\"type\":\"select\",\"currentValue\":\"code\"," \
	"\"options\":[{\"group\":\"safe\",\"options\":[{\"value\":\"ask\"}]}," \
	"{\"group\":\"rest\",\"options\":[{\"value\":\"code\"}]}]}," \
	"{\"id\":\"web\",\"type\":\"boolean\",\"currentValue\":false}]," \
	"\"modes\":{\"currentModeId\":\"old\",\"availableModes\":[" \
	"{\"id\":\"old\"}]}}"
#define TWO_MODELS "{\"configOptions\":[" \
	"{\"id\":\"helper\",\"category\":\"model\",\"currentValue\":\"a\"," \
	"\"options\":[{\"value\":\"a\"}]}," \
	"{\"id\":\"model\",\"category\":\"model\",\"currentValue\":\"a\"," \
	"\"options\":[{\"value\":\"a\"},{\"value\":\"b\"}]}]}"
#define LEGACY "{\"modes\":{\"currentModeId\":\"code\",\"availableModes\":[" \
	"{\"id\":\"code\"},{\"id\":\"ask\"}]},\"models\":{" \
	"\"currentModelId\":\"small\",\"availableModels\":[" \
	"{\"modelId\":\"small\"},{\"modelId\":\"large\"}]}}"
#define ODD "{\"configOptions\":[7,{\"id\":3,\"category\":\"model\"}," \
	"{\"category\":\"mode\",\"options\":\"x\"}],\"modes\":[1]," \
	"\"models\":\"x\"}"

static const struct {
	const char *offer;
	enum setting_kind kind;
	const char *id, *value;
	enum setting_way way;
	const char *rest; /* the option's id, or a part of the error */
} plans[] = {
	{ CONFIG, SETTING_MODEL, NULL, "\"large\"", SETTING_BY_CONFIG, "m" },
	{ CONFIG, SETTING_MODEL, NULL, "\"small\"", SETTING_IS_SO, "m" },
	{ CONFIG, SETTING_MODEL, NULL, "\"huge\"", SETTING_UNSUPPORTED,
	    "no model \"huge\"; it has: small, large" },
	{ CONFIG, SETTING_MODE, NULL, "\"ask\"", SETTING_BY_CONFIG, "mode" },
	{ CONFIG, SETTING_MODE, NULL, "\"old\"", SETTING_UNSUPPORTED,
	    "it has: ask, code" },
	{ CONFIG, SETTING_OPTION, "web", "true", SETTING_BY_CONFIG, "web" },
	{ CONFIG, SETTING_OPTION, "web", "false", SETTING_IS_SO, "web" },
	{ CONFIG, SETTING_OPTION, "web", "\"true\"", SETTING_UNSUPPORTED,
	    "web is true or false" },
	{ CONFIG, SETTING_OPTION, "m", "true", SETTING_UNSUPPORTED, "no m" },
	{ CONFIG, SETTING_OPTION, "nix", "true", SETTING_UNSUPPORTED,
	    "no nix true; it has: m, mode, web" },
	{ TWO_MODELS, SETTING_MODEL, NULL, "\"b\"", SETTING_BY_CONFIG,
	    "model" },
	{ LEGACY, SETTING_MODEL, NULL, "\"large\"", SETTING_BY_MODEL, NULL },
	{ LEGACY, SETTING_MODEL, NULL, "\"small\"", SETTING_IS_SO, NULL },
	{ LEGACY, SETTING_MODEL, NULL, "\"huge\"", SETTING_UNSUPPORTED,
	    "it has: small, large" },
	{ LEGACY, SETTING_MODE, NULL, "\"ask\"", SETTING_BY_MODE, NULL },
	{ LEGACY, SETTING_MODE, NULL, "\"code\"", SETTING_IS_SO, NULL },
	{ LEGACY, SETTING_OPTION, "web", "true", SETTING_UNSUPPORTED,
	    "offers no choice of web" },
	{ "{}", SETTING_MODEL, NULL, "\"x\"", SETTING_UNSUPPORTED,
	    "offers no choice of model" },
	{ "null", SETTING_MODE, NULL, "\"x\"", SETTING_UNSUPPORTED,
	    "offers no choice of mode" },
	{ ODD, SETTING_MODEL, NULL, "\"x\"", SETTING_UNSUPPORTED,
	    "offers no choice of model" },
	{ ODD, SETTING_MODE, NULL, "\"x\"", SETTING_UNSUPPORTED,
	    "offers no choice of mode" },
};

static json_t *
parse(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_msg(v != NULL, "%s", text);
	return v;
}

START_TEST(a_setting_finds_its_way)
{
	json_t *offer = parse(plans[_i].offer), *value = parse(plans[_i].value);
	struct settings s = { 0 };
	struct setting want = { plans[_i].kind, plans[_i].id, value };
	struct setting_step step;
	struct err e = { "" };

	settings_of_session(&s, offer);
	step = settings_plan(&s, &want, &e);
	ck_assert_int_eq(step.way, plans[_i].way);
	if (step.way == SETTING_UNSUPPORTED)
		ck_assert_msg(strstr(e.text, plans[_i].rest) != NULL,
		    "\"%s\"", e.text);
	else if (plans[_i].rest != NULL)
		ck_assert_str_eq(step.config_id, plans[_i].rest);
	/* once it is done it is so */
	if (step.way != SETTING_UNSUPPORTED) {
		settings_done(&s, &step, value, NULL);
		ck_assert_int_eq(settings_plan(&s, &want, &e).way,
		    SETTING_IS_SO);
	}
	settings_free(&s);
	json_decref(offer);
	json_decref(value);
}
END_TEST

START_TEST(the_answers_list_replaces_the_one_before)
{
	json_t *offer = parse(CONFIG), *value = parse("\"large\"");
	json_t *other = parse(TWO_MODELS);
	struct settings s = { 0 };
	struct setting_step step;
	struct err e;

	settings_of_session(&s, offer);
	step = settings_plan(&s, &(struct setting){ SETTING_MODEL, NULL,
	    value }, &e);
	step.config_id = "m"; /* its owner keeps a copy */
	settings_done(&s, &step, value, other);
	ck_assert_uint_eq(json_array_size(s.config), 2);
	settings_free(&s);
	json_decref(offer);
	json_decref(other);
	json_decref(value);
}
END_TEST

/* What was chosen there is asked for again. */
START_TEST(a_reopened_session_that_says_nothing_offers_what_it_did)
{
	static const char *const all[] = { CONFIG, LEGACY, "{}", "null", ODD };
	json_t *before, *mode = parse("\"code\""), *other = parse(TWO_MODELS);
	struct setting want = { SETTING_MODE, NULL, mode };
	struct settings s = { 0 };
	struct err e;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		before = parse(all[i]);
		settings_recall(&s, before);
		ck_assert_int_eq(settings_plan(&s, &want, &e).way, i == 0 ?
		    SETTING_BY_CONFIG : i == 1 ? SETTING_BY_MODE :
		    SETTING_UNSUPPORTED);
		settings_free(&s);
		json_decref(before);
	}
	/* what it says goes before */
	before = parse(LEGACY);
	settings_of_session(&s, other);
	settings_recall(&s, before);
	settings_recall(&s, NULL);
	ck_assert_int_eq(settings_plan(&s, &want, &e).way,
	    SETTING_UNSUPPORTED);
	settings_free(&s);
	json_decref(before);
	json_decref(other);
	json_decref(mode);
}
END_TEST

static const struct {
	const char *update;
	bool is_taken;
	const char *mode; /* afterwards */
} updates[] = {
	{ "{\"sessionUpdate\":\"current_mode_update\",\"currentModeId\":"
	  "\"ask\"}", true, "ask" },
	{ "{\"sessionUpdate\":\"current_mode_update\",\"modeId\":\"ask\"}",
	  true, "ask" },
	{ "{\"sessionUpdate\":\"current_mode_update\",\"modeId\":7}", true,
	  "code" },
	{ "{\"sessionUpdate\":\"config_option_update\",\"configOptions\":3}",
	  false, "code" },
	{ "{\"sessionUpdate\":\"plan\"}", false, "code" },
	{ "3", false, "code" },
};

START_TEST(updates_are_followed)
{
	json_t *offer = parse(LEGACY), *u = parse(updates[_i].update);
	struct settings s = { 0 };

	settings_of_session(&s, offer);
	ck_assert_int_eq(settings_on_update(&s, u), updates[_i].is_taken);
	ck_assert_str_eq(json_string_value(json_object_get(s.modes,
	    "currentModeId")), updates[_i].mode);
	settings_free(&s);
	json_decref(offer);
	json_decref(u);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("settings");
	TCase *t = tcase_create("settings");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, a_setting_finds_its_way, 0,
	    (int)(sizeof plans / sizeof plans[0]));
	tcase_add_test(t,
	    a_reopened_session_that_says_nothing_offers_what_it_did);
	tcase_add_test(t, the_answers_list_replaces_the_one_before);
	tcase_add_loop_test(t, updates_are_followed, 0,
	    (int)(sizeof updates / sizeof updates[0]));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
