"""Small good files of the formats that the standard library cannot write, compressed; each is a seed of mutations."""

import base64
import zlib

PACKED = {
    "jpg":
        'c-s4a<NpH&0WUXCHwH#V1_nkTWcYuZ!I^=VlZ%^+gO{6&n~#r|Usyp@SV%}%T}Dn^K~K}rKu=Rw$Jolt&e+V&Tu0X-+|kX)FDN+3$Sx`|Dj>lt'
        'FvuTd2qPaKpRk~?ny9Fnzp1XNKgr<#0R}-11_1^EW=16jCP7AKLB{__803NOWMu>c1}I=;VrF4wW9I-m8mM5a00R>vGcywlGb<|#3sANeD9^wm'
        '$SS00=*T7<n8>bFC}Pw&aUqAY)5e3MK^H%$7$+4qadL@?OGrwos;O&eYMGdtnOj&|IlH*JxqEne1&4%&g-1k2C8wmOrDtSj6_=Ejl~+_&HMg|3'
        'wRd!OO`1Gq>a^)IX3ko)c*)Xb%U7&iwQ2K~t=qQm*tzS_;Uh<n9Y1mM)TPT;u3o!-<L0f0j~+jH`t13Om#;p4`uyeVx9>lG{sQ@nk%5^J2C(`|'
        '5a=%^78Yg}c96dqnaV*51X)-W4cUYo1KAS`g_VpNIYgW$F5GyKQ`tD^gJ@FGMJ_QFlZUDwL0$v<j5v=qk>xYE#}NLy#lXYN2#h>tK?Zw<uxXx)'
        'CMVo$^~sg{_}TuH5u<Xx51*$D|8z@Uqp3ZoCa#>7=6*y&KI1um+nbxmIR6QrV_4?Om^Sn3Gz+2f{(@j>4aq#?#yPD|8-5=tyfl}&e(B8ZMJXIS'
        '$qDY~<rYlxl=Uk*KA|G0>-p9{zy34CE%Mx{o*Vk*-`@Jw^8arF08hsc1p',
    "parquet":
        'c-jka3^EjD5#7TtdV$kNR6vwLh=JiAdrSob14CzkpF1y?6c>=m>*?VV1f*FQSw19kFacR=lQ}hkl)a~mV@SmuMiYk9{~6<L15`>LRk;~@aQ$N7'
        'x^VH4$vMZwP_ed)Om)vbhu>Q_Pr^b*wUJ3tcsrx*%;i~fH|A7nc8jJOO!N2vG>XB~)z4*}Q$kY(!?7BM4-O13>h~-CD9?T!F=xVe20j@D=f5tR'
        'Ip1b}>tLxd7n8m9YXi%_a=E!of|nHBezsk3_;=m&$%My}<&N8$&V!A62Q<Y-EVA@G@4@6<kH5XtWtn1j@vNN&=TXT&?Kc^ucrxEqo{-(H)S2nW'
        'u!&uq+2>D;*g7GOg9*N(tDlIe9%f+p^@HKXE=4QVTWZctos9xd84Qo!cvJ9Ys&nA+m;8*|IM*Lv|L~FA)o((U3~Q$g3OLO!So(0Ia(I!Fgi9Su'
        'q9o7(tTiv*7{9PM!mFNZ%ie#F!SK4@w`sc4%6vI*`xvZee>iCH$=R{)#c3DD<t2BgKHHpgE0kaDZ{QsXy{Ye4&x07CJL#L5{^W}m`5ZFxjK&up'
        'zBaz5b$In5&S#9wzP=~F+_n!fGuNtN<hXym<!!C-H-{;0Rt`(WHXhh1<D^%^z){A)FzE#ogRSR_4|d5GpOfU~m!yQw?@B2$?4H>$bN0b!9qRj4'
        '|Lixq%P(s7^N6{*UvsXb*y6Y6jw}(5S$1sVJ8@nHR(avV{S$RQ=v6UXN@D)tR$9xgD`orc*b4onDvWDBmObF)+TtLqdEpn!^>eaKq8!Te)SJKR'
        'Fnr%{qcY{`rVBgx1kw$(#S|m8dDkIFv?zn9n5dKvFx3f&vWc?Em@#NnU`uo$j5E<u$t@CP#Mo>Lv6;ePM7CE@5Xj-y0NEkH#LV1r>=!UMPGA&G'
        'fMrGx1y-P(fnGsgIwL28p&%!N5fB>#u?Y~H3UZp5f#g7n%s~t+fyxS&kYEKHg4IF=Q57E`1+q`Th5-r~p)}A$AyF}ei4q(z83_)US}_I<ETUk$'
        'I2FKlF)}i*5@nH$F=dcoD^AWx%}o?#VK8NqV9m@;Oiu-}MR`<#yrjyK)M5ymr692+LzTft2IK}7kYr9`Qfdx^n1G~=q>UPbj3|$!DFd5;qz1$c'
        'h+a`9F#)j_5wSUZYCkyDI7VuslGFjkrzjIB_5^^Gjo2SPNj6C{U`&8)#t1xcV1vW1k4fwiquL^VwIzJm5)Y=q0jTD(K+J{47TCx$jAB<9)s6|M'
        'wF!`xdN3^0WRp|_+az{RTueZXL+lbzk&Fb7V^ENPxD_N_NxWgw2Z8c*Cr3xeKt~Ahc62OvbV_%0b9791bWR70IRO>;f*8(@j-Frv1nmf6LRetZ'
        '!v$!l1(4zD><ZNc;yA)VC`e^-WVlyO5}2Rv=mIt*8LAWn+`wdE0LXnH*BL~@Y=Sz~8D^5BQy^SJVz^;Olo3eOIUVFRBe?!hup)PaekAugWu&-6'
        'JX#4-Uja4@XjP=6Q#r)nt_V#|P7tpqBm9qWaAaPNK~w}n3zEDogM>msVo_mfYKd-gL4j^!QBi)mLRo52ab|v=f{~e?fu5nH4KNQw5CaP^{RaRW'
        '9RN0=SGN',
    "pth":
        'c-o~^&ui0A9DhmHw2j*RP}gqi`~gA-vuo0BZJoLiBpxDID@ySavh=M9X3bvux}h)_$OaPx_2fxBi5JiA-|*xPf(H*G9{dyLOR{B2W>+>JeSI|j'
        'etsn1AF0Yr9{`C2IIsr55KwJRH<saKL&a)t>4_<cDeyS7*639PvUQFC+E~R<X&4$t)GDI0^(48tpygJe(bO?wG;9&NoYKLD+2#}*&UXy6p<vi*'
        'Teh++aHubvt;by^%T}8Z#XJZnnU;zlco#Xu)+rK`NAWsCPHm}!5;BWX^1cjYT4pv7Co?j&flh2{nq`_$!-myrbNB29v|-~m@yDT)<27^&qf`y`'
        'yNbl-yrH(yfKEK<G2PSP(V(7?X^e(k?sarprq<D!P2GW?#b~&O(r#c2Wjx@n;k#C=>H8gVLj*KRxG0Ry5w7uZkK;T>7iws%Q;(4dxMXQMx+qhf'
        'Tvd)Is+XEC9}%Rpt6j5{23P$o<rXY^QN_wKwA<vCCGm13S^rqPBlY>ux95&WXLpwx1*Ltd-4rRRX*64lu!SYD&|B@`nl3s9W>?TJnn=)x8W;q#'
        'zJd9t7+Ow7C2{6Bx_iqsFgBs%Vg2Th5tgX1hk8hXTcNI)%uC|+|1jXOuFaCKIr1TUjqLYxj-&LepRY6Ik4z6o6JbZZBxb?U^d0_q!uWm#Is%Cv'
        'dN;y)f+UuY{REhR{)_ETzkBQVgBf4nuk_M!4HP&>`OCZJ!`}5b288_vaBsa0ZG&{cGu0U}iqVk7+!2lB%f(8uTrL+&mFcN`v0N%l<@2RtLC9Bl'
        'UMN<0fv*S!!EMv8&8_V$@sV|1QjS^QXK-2!9B>|;<56^Q0Hj064;1J&U!o+zCLRqpE)5Qu98sQNBMydm-UN930T6`;yCxNa4>KUryHRYg1H#yk'
        'Q7j+D2CFxW&GbdELKGXUzy1*RZ2;Tlxd+Q)ECe2kfgS~0m05OTue_OSJ~A0O@6g`4729i9)_HA$ow)bgdvnBC50iA`z1Y9#htU5',
    "pth-old":
        'c-n1HOHaZ;5N@{xWEI8N!J9|CG`ti!$-!{h_`*vsrh#^)Ynm?8ZZVpW^a2rog9nfPHGhJM2d5AZBy46TnQv$2`({$|PJ`c%?$7bl*X@y&lB;h6'
        ';{>#dUDh;h6iFpr88~Ae#X^RlV}V`5pFk)TaEFJU=!ZbwY>J?I8F42TuRI200%pa|AsG8IQjlZBHZT*Rf;=;AGn*m9ArzRIB>$X6L?2!2nTw&X'
        'KzEglT;FmMC4!hb5g#NX@Epa%SVqpcPJvV^b|E9d%Kngpv23B;K=#%B5~N_-+gQ_XwA;0_R`ax8J8#t?x6tE`64aBwR#3QO8Y9e@!3Hy!K7-=i'
        '#nl7uD%?D#H<8C9?p+F3QJ^P1*i^99gVKT@MGr(jhHW1e`G&v3*r+vY)n*lT{5&JbR9-MmVVCJs*qi&=uzdvwJvhuR@sM3&O}oBs3&Jg;t-kz9'
        'mR?}!prNPepPfGlM}LL',
    "npz":
        'c-jl_W@gc4fB;2?+H9*y|Dk|`L4+YKS-)H_ub`5VL4aWfR27V#>=)`A5Xs0;#!#)El3JWxq;934Zj)xBuA`uymS0p-l$aNvUzCyx5_e0?DNY57'
        '7iT0EqyqUGMmh?{nmP)#3S<K=28ITEY&ZbLN39#StwHlq63j;(P*ok&@eyVI0s9C70=yZSbeU0OWd=0lIT#S2fe}Q);s{+A$mbnU-=XTd1ksfQ'
        '(Z$LJ5@iCy93VXfY$gCYPiyM',
}
SEEDS = {name: zlib.decompress(base64.b85decode(text)) for name, text in PACKED.items()}
